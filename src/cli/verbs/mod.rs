//! One file per verb, or per family of verbs.

pub mod answer;
pub mod call;
pub mod contacts;
pub mod demo;
pub mod devices;
pub mod doctor;
pub mod group;
pub mod history;
pub mod id;
pub mod identity;
pub mod lookup;
pub mod node;
pub mod running;
pub mod sdp;
