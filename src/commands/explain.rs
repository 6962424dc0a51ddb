//! `explain`: what a finding code means and what to do about it, from the one table.

use super::CommandContext;
use crate::cli::Explain;
use crate::domain::finding::Code;
use crate::error::{Error, ExitStatus};
use crate::report::explanation;

pub(super) fn run(context: &CommandContext, args: &Explain) -> Result<ExitStatus, Error> {
    let code = match &args.code {
        None => None,
        Some(text) => Some(Code::parse(text).ok_or_else(|| {
            Error::new(format!("`{text}` is no finding code"))
                .hint(format!("{} explain lists them", context.program))
        })?),
    };
    context.ui.out(&explanation(
        code,
        context.program,
        context.global.output,
        &context.style(),
    )?)?;
    Ok(ExitStatus::Success)
}
