//! Values of [`crate::field::OUTCOME`] in the lines that accept a photo or report its result.
//!
//! irmgard and the anonymizer write them. `logq doctor` reads them to find photos that wait for their result.

/// irmgard accepted a new photo.
pub const NEW: &str = "new";
/// irmgard already had the photo.
pub const DUPLICATE: &str = "known";
/// irmgard already had the photo, which had failed, and queued it again.
pub const REQUEUED: &str = "again";
/// A request succeeded; `POST /` of the legacy API also logs this for an accepted photo.
pub const OK: &str = "ok";

/// The photo is anonymised.
pub const ANONYMIZED: &str = "anonymized";
/// The anonymizer found the photo already anonymised and published its result again.
pub const ALREADY_ANONYMIZED: &str = "answered-again";
/// The photo could not be anonymised.
pub const FAILED: &str = "failed";
/// irmgard received a result that it had recorded before.
pub const REPEATED: &str = "repeated";
/// A message that belongs to no photo is in the parked queue.
pub const PARKED: &str = "parked";

/// A photo was accepted and waits for its result.
pub const ACCEPTED: [&str; 3] = [NEW, REQUEUED, OK];

/// A photo has its result.
pub const FINISHED: [&str; 4] = [ANONYMIZED, ALREADY_ANONYMIZED, FAILED, REPEATED];
