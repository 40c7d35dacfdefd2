//! The photo: its row, as it is written by an upload and read by the API.

mod idempotency;
mod insert;
mod list;
mod output;
mod read;
mod records;
mod requeue;
mod row;

pub use self::{
    idempotency::{Key, remember, remembered},
    insert::{NewPhoto, draw_ids, insert, same_photo},
    list::{GivenImage, ListedProject, PhotoFilter, ProjectFilter, given_page, photos, projects},
    output::{AnonymizedImage, NotShown, output_of},
    read::by_id,
    records::{AsRecordsError, Records, RecordsError},
    requeue::{forget_original, requeue},
    row::{Photo, Status, TakenAtSource},
};
