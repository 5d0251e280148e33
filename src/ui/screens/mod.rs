//! What the window shows: yourself, and a call or the way to start one.

mod call;
mod dial;
mod incoming;
mod you;

pub use call::call;
pub use dial::dial;
pub use incoming::incoming;
pub use you::you;
