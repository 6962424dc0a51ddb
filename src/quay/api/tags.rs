//! Tags of repositories, and times of their last pushes.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use reqwest::Method;

use crate::domain::snapshot::{Observed, RepositoryTag};
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::http::error::{ErrorKind, QuayError};

/// Quay's maximum (`endpoints/api/tag.py`).
const TAGS_PER_PAGE: &str = "100";

impl Quay {
    /// The current tags of a repository; `None` if it does not exist. One request for 100 tags.
    ///
    /// # Errors
    /// Also for a missing repository if the user is not a member of the organization (`wire/333`).
    pub async fn tags(
        &self,
        organization: &str,
        repository: &str,
    ) -> Observed<Option<Vec<RepositoryTag>>> {
        match self.all_tags(organization, repository).await {
            Ok(tags) => Ok(Some(tags)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The Unix time of the last push to each repository of an organization; `None` without tags.
    ///
    /// # Errors
    /// The list could not be read.
    pub async fn last_pushes(&self, organization: &str) -> Observed<BTreeMap<String, Option<i64>>> {
        Ok(self.repositories(organization).await?.items)
    }

    /// The repositories of an organization with the number of their tags.
    ///
    /// # Errors
    /// A list could not be read.
    pub async fn tag_counts(&self, organization: &str) -> Result<Vec<(String, usize)>, QuayError> {
        let repositories = self.repositories(organization).await?.items.into_keys();
        try_join_all(repositories.map(async |repository| {
            let tags = self.all_tags(organization, &repository).await?;
            Ok((repository, tags.len()))
        }))
        .await
    }

    async fn all_tags(
        &self,
        organization: &str,
        repository: &str,
    ) -> Result<Vec<RepositoryTag>, QuayError> {
        let path: Vec<&str> = ["repository", organization]
            .into_iter()
            .chain(repository.split('/'))
            .chain(["tag", ""])
            .collect();
        let mut tags = Vec::new();
        for page in 1.. {
            let call = self.api(
                Method::GET,
                &path,
                format!("list tags of repository {organization}/{repository}"),
            );
            let call = call
                .query("limit", TAGS_PER_PAGE)
                .query("page", &page.to_string())
                .query("onlyActiveTags", "true");
            let found: api_types::Tags = self.fetch(&call).await?;
            let is_last = !found.has_additional || found.tags.is_empty();
            tags.extend(found.tags.into_iter().map(RepositoryTag::from));
            if is_last {
                break;
            }
        }
        Ok(tags)
    }
}

impl From<api_types::Tag> for RepositoryTag {
    fn from(tag: api_types::Tag) -> Self {
        Self {
            name: tag.name,
            digest: tag.manifest_digest,
            is_list: tag.is_manifest_list,
            pushed: tag.start_ts,
        }
    }
}
