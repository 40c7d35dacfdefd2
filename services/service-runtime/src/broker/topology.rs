//! Declares the queues, which must exist before the first publish or consume.

use contract::queues::Queues;
use lapin::{
    Connection, ErrorKind,
    options::QueueDeclareOptions,
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::message::short;

#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// A queue with this name exists and is not a durable quorum queue.
    #[error(
        "queue {queue} exists, but not as a durable quorum queue: empty and delete it, or, for the job \
         queue only, set ALLOW_CLASSIC_QUEUE=1 to use it as it is"
    )]
    OtherKind { queue: String },
    /// The broker did not answer, or refused.
    #[error("queues cannot be declared: {0}")]
    Broker(#[from] lapin::Error),
}

/// Declares the four queues as durable quorum queues. `x-queue-type` is the only argument; policies set the
/// rest. Existing queues do not change.
///
/// # Errors
/// [`TopologyError::OtherKind`] if a queue exists with another type. `allow_classic` permits a classic job queue.
pub async fn declare(
    connection: &Connection,
    queues: &Queues,
    allow_classic: bool,
) -> Result<(), TopologyError> {
    let mut channel = connection.create_channel().await?;
    for queue in queues.all() {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let declared = channel
            .queue_declare(short(queue), QueueDeclareOptions::durable(), arguments)
            .await;
        match declared {
            Ok(_) => {}
            Err(error) if !is_precondition_failed(&error) => return Err(error.into()),
            Err(_) if allow_classic && queue == queues.jobs => {
                // The broker closes a channel after a failure.
                channel = connection.create_channel().await?;
                let passive = QueueDeclareOptions {
                    passive: true,
                    ..QueueDeclareOptions::default()
                };
                channel
                    .queue_declare(short(queue), passive, FieldTable::default())
                    .await?;
            }
            Err(_) => {
                return Err(TopologyError::OtherKind {
                    queue: queue.to_owned(),
                });
            }
        }
    }
    Ok(())
}

fn is_precondition_failed(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)))
}
