//! What the screens show, worked out without a screen: who is in the list and in what order, what a day of calls was.

mod calls;
mod checks;
mod people;
mod trends;
mod when;

pub use calls::{Entry, Line, Outcome, Past};
pub use checks::Examination;
pub use people::{People, Row};
pub use trends::Trends;
pub use when::Clock;
