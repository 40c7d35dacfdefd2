//! Generates JSON lines in the formats of other programs; always the same ones.

/// A format, with a condition that one line in a thousand meets.
pub struct ForeignShape {
    pub name: &'static str,
    pub condition: &'static str,
    line: fn(&Values) -> String,
}

/// The values of a line.
struct Values {
    micros: u64,
    is_warning: bool,
    /// Below 1,000.
    user: u64,
    id: u64,
}

pub const SHAPES: [ForeignShape; 5] = [
    ForeignShape {
        name: "nested",
        condition: "kubernetes.pod_name=pod-777",
        line: nested,
    },
    ForeignShape {
        name: "zap",
        condition: "fields.user=777",
        line: zap,
    },
    ForeignShape {
        name: "pino",
        condition: "fields.user=777",
        line: pino,
    },
    ForeignShape {
        name: "logrus",
        condition: "fields.user=777",
        line: logrus,
    },
    ForeignShape {
        name: "docker",
        condition: "fields.user=777",
        line: docker,
    },
];

impl ForeignShape {
    /// Lines of at least this size, with their newlines.
    pub fn lines(&self, bytes: usize) -> String {
        let mut lines = String::with_capacity(bytes + 1_000);
        let mut number = 0_u64;
        while lines.len() < bytes {
            number += 1;
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let values = Values {
                micros: number * 500 + id % 500,
                is_warning: number.is_multiple_of(50),
                user: (id >> 20) & 1_023,
                id,
            };
            lines.push_str(&(self.line)(&values));
            lines.push('\n');
        }
        lines
    }
}

impl Values {
    fn time(&self) -> String {
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        format!(
            "2026-11-22T08:{:02}:{:02}.{micros:06}Z",
            seconds / 60 % 60,
            seconds % 60
        )
    }

    /// Seconds since 1970.
    fn epoch(&self) -> f64 {
        1_795_334_400.0 + self.micros as f64 / 1e6
    }
}

/// The schema's format, with Fluentd's object `kubernetes`.
fn nested(values: &Values) -> String {
    let Values { user, id, .. } = values;
    let level = if values.is_warning { "warn" } else { "info" };
    format!(
        r#"{{"@timestamp":"{}","level":"{level}","message":"uploaded {id:016x}.jpg of size {user} to bucket infiles","component":"irmgard","trace_id":"{id:016x}{id:016x}","http":{{"method":"POST","path":"/","status":200,"duration_ms":{user}.934,"bytes":9{user}417}},"stream":"stdout","kubernetes":{{"namespace_name":"photo-stage","pod_name":"pod-{user}","pod_id":"6472f1a3-65e7-6623-64e5-{id:012x}","container_name":"main","container_image":"registry.example/irmgard:1.3.8","host":"node-0.cluster.example","labels":{{"app":"irmgard","release":"r12"}}}}}}"#,
        values.time()
    )
}

fn zap(values: &Values) -> String {
    let Values { user, id, .. } = values;
    let level = if values.is_warning { "error" } else { "info" };
    format!(
        r#"{{"level":"{level}","ts":{:.6},"logger":"controller.photo","caller":"controller/controller.go:{user}","msg":"Reconciled the photo","namespace":"photos","name":"photo-{id:016x}","user":{user},"reconcileID":"{id:016x}-65e7","duration":0.00{user}}}"#,
        values.epoch()
    )
}

fn pino(values: &Values) -> String {
    let Values { user, id, .. } = values;
    let level = if values.is_warning { 50 } else { 30 };
    format!(
        r#"{{"level":{level},"time":{:.0},"pid":17,"hostname":"gallery-5d8f","user":{user},"req":{{"id":"{id:016x}","method":"GET","url":"/projects/{user}/photos","headers":{{"host":"gallery.example","accept":"*/*"}},"remoteAddress":"10.42.0.7"}},"res":{{"statusCode":200}},"responseTime":{user},"msg":"request completed"}}"#,
        values.epoch() * 1e3
    )
}

fn logrus(values: &Values) -> String {
    let Values { user, id, .. } = values;
    let level = if values.is_warning { "warning" } else { "info" };
    format!(
        r#"{{"container":"{id:016x}","file":"daemon/monitor.go:{user}","func":"daemon.Monitor","level":"{level}","module":"libcontainerd","msg":"sending signal 15 to container","namespace":"moby","topic":"/tasks/exit","type":"*events.TaskExit","user":{user},"time":"{}"}}"#,
        values.time()
    )
}

/// A line of Docker's json-file, whose text is a line of zap's.
fn docker(values: &Values) -> String {
    let line = zap(values).replace('"', "\\\"");
    format!(
        r#"{{"log":"{line}\n","stream":"stderr","time":"{}"}}"#,
        values.time().replace('Z', "000Z")
    )
}
