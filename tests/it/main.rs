//! One binary for everything that needs more than one stage.

mod judgements;
mod recordings;
mod story;
