//! Photo rows: written by uploads, read by the API.

mod id_allocator;
mod idempotency;
mod insert;
mod output;
mod query;
mod records;
mod row;

pub use self::{
    idempotency::{IdempotencyKey, find_idempotency_key, store_idempotency_key},
    insert::{NewPhoto, insert_photo, lock_duplicate},
    output::{AnonymizedImage, ImageUnavailable, output_location},
    query::{
        LegacyImage, ListedProject, PhotoFilter, ProjectFilter, find_photo, list_legacy_images, list_photos,
        list_projects,
    },
    records::{AsRecordsError, Records, RecordsError},
    row::{Photo, Status, TakenAtSource},
};
