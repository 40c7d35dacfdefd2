//! Photo rows: written by uploads, read by the API.

mod idempotency;
mod insert;
mod output;
mod query;
mod records;
mod requeue;
mod row;

pub use self::{
    idempotency::{IdempotencyKey, find_idempotency_key, store_idempotency_key},
    insert::{NewPhoto, draw_ids, insert_photo, lock_duplicate},
    output::{AnonymizedImage, ImageUnavailable, output_location},
    query::{
        GivenImage, ListedProject, PhotoFilter, ProjectFilter, find_photo, list_given_images, list_photos,
        list_projects,
    },
    records::{AsRecordsError, Records, RecordsError},
    requeue::{forget_original, requeue_failed},
    row::{Photo, Status, TakenAtSource},
};
