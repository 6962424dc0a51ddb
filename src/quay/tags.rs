//! Tags of repositories, and when repositories were pushed to.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use reqwest::Method;

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError};
use crate::domain::snapshot::{Observed, RepositoryTag};

/// The most tags on a page (Quay `endpoints/api/tag.py`).
const TAGS_PER_PAGE: &str = "100";

impl Quay {
    /// The tags of a repository that there are now; none if there is no such repository. One call for each hundred.
    ///
    /// # Errors
    /// When they cannot be read. To those who are no members Quay says the same of a missing repository (sample 333).
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

    /// When each repository of an organization was last pushed to, in seconds since 1970; none for one without tags.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn pushed(&self, organization: &str) -> Observed<BTreeMap<String, Option<i64>>> {
        Ok(self.repositories(organization).await?.items)
    }

    /// The repositories of an organization with the number of their tags: what is lost with it.
    ///
    /// # Errors
    /// When any part of it cannot be read.
    pub async fn contents(&self, organization: &str) -> Result<Vec<(String, usize)>, QuayError> {
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
            let was_last = !found.has_additional || found.tags.is_empty();
            tags.extend(found.tags.into_iter().map(RepositoryTag::from));
            if was_last {
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
