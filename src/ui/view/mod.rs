//! What the screens show, worked out without a screen: who is in the list and in what order, what a day of calls was,
//! which call is on screen, who is speaking.

mod calls;
mod checks;
mod group;
mod notes;
mod people;
mod speaking;
mod talks;
mod trends;
mod when;

pub use calls::{Entry, Line, Outcome, Past};
pub use checks::Examination;
pub use group::{GAP, Gaps, Grid, Helpers, Mark, Tile, gaps, name_in, tiles};
pub use notes::Notes;
pub use people::{People, Row};
pub use speaking::{OURS, Speaking, loudness_class};
pub use talks::{Talk, TalkId, Talks, group_name};
pub use trends::Trends;
pub use when::Clock;
