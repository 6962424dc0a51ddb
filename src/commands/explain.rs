//! `explain`: describes finding codes.

use super::CommandContext;
use crate::cli::Explain;
use crate::domain::finding::Code;
use crate::error::{Error, ExitStatus};
use crate::report;

pub(super) fn run(context: &CommandContext, args: &Explain) -> Result<ExitStatus, Error> {
    let code = match &args.code {
        None => None,
        Some(text) => Some(Code::parse(text).ok_or_else(|| {
            Error::new(format!("invalid finding code `{text}`"))
                .hint(format!("{} explain", context.program))
        })?),
    };
    context.ui.out(&report::explain(code, context.program, context.output, &context.style())?)?;
    Ok(ExitStatus::Success)
}
