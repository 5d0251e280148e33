//! Objective listening quality of recordings, for `demo` and the tests.

use std::path::Path;

use super::{Failure, FailureKind, Retry};
use crate::voice::quality::pesq_wb_48k;

/// PESQ-WB (ITU-T P.862.2, MOS-LQO 1.04..4.64) of a received recording against what was spoken. Both are 48 kHz mono
/// WAV files; `degraded` may begin with silence.
pub fn pesq_wb(reference: &Path, degraded: &Path) -> Result<f32, Failure> {
    let reference = crate::audio::read_wav(reference).map_err(unusable)?;
    let degraded = crate::audio::read_wav(degraded).map_err(unusable)?;
    pesq_wb_48k(&reference, &degraded).map_err(unusable)
}

fn unusable(why: impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Usage, retry: Retry::Never, detail: why.to_string() }
}
