//! ONNX files for tests: networks with the shapes of NanoDet and CenterFace that give constant numbers.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.16, IR version 8).

/// One output of a network: the same number in each cell of a channel.
#[derive(Clone, Debug)]
pub struct NetworkOutput {
    pub name: &'static str,
    /// Pixels of the input per cell.
    pub stride: i64,
    /// The number in each channel.
    pub channels: Vec<f32>,
    /// `[1, cells, channels]` instead of `[1, channels, rows, columns]`.
    pub channels_last: bool,
}

/// A network in the shape of NanoDet that finds nothing.
pub fn nanodet() -> Vec<NetworkOutput> {
    let output = |name, stride, channels| NetworkOutput {
        name,
        stride,
        channels: vec![0.0; channels],
        channels_last: true,
    };
    vec![
        output("cls8", 8, 80),
        output("cls16", 16, 80),
        output("cls32", 32, 80),
        output("box8", 8, 44),
        output("box16", 16, 44),
        output("box32", 32, 44),
    ]
}

/// A network in the shape of CenterFace that finds nothing.
pub fn centerface() -> Vec<NetworkOutput> {
    let output = |name, channels| NetworkOutput {
        name,
        stride: 4,
        channels: vec![0.0; channels],
        channels_last: false,
    };
    vec![
        output("537", 1),
        output("538", 2),
        output("539", 2),
        output("540", 10),
    ]
}

/// The file of a network with these outputs.
pub fn file(outputs: &[NetworkOutput]) -> Vec<u8> {
    let mut graph = bytes(2, b"constants");
    for output in outputs {
        let name = |what: &str| format!("{}-{what}", output.name);
        let (cells, map, flat) = (name("cells"), name("map"), name("flat"));
        let count = output.channels.len() as i64;
        let side = [output.stride; 2];
        graph.extend(node(
            "MaxPool",
            &["image"],
            &cells,
            &[ints("kernel_shape", &side), ints("strides", &side)],
        ));
        graph.extend(floats(
            &name("weights"),
            &[count, 3, 1, 1],
            &vec![0.0; 3 * output.channels.len()],
        ));
        graph.extend(floats(&name("bias"), &[count], &output.channels));
        let inputs = [cells.as_str(), &name("weights"), &name("bias")];
        if output.channels_last {
            graph.extend(node("Conv", &inputs, &map, &[]));
            graph.extend(longs(&name("shape"), &[0, count, -1]));
            graph.extend(node("Reshape", &[&map, &name("shape")], &flat, &[]));
            graph.extend(node(
                "Transpose",
                &[&flat],
                output.name,
                &[ints("perm", &[0, 2, 1])],
            ));
        } else {
            graph.extend(node("Conv", &inputs, output.name, &[]));
        }
        let rank = if output.channels_last { 3 } else { 4 };
        graph.extend(bytes(12, &tensor_info(output.name, rank)));
    }
    graph.extend(bytes(11, &tensor_info("image", 4)));
    let opset = bytes(8, &[bytes(1, b""), number(2, 13)].concat());
    [number(1, 8), bytes(7, &graph), opset].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs
        .iter()
        .flat_map(|input| bytes(1, input.as_bytes()))
        .collect();
    node.extend(bytes(2, output.as_bytes()));
    node.extend(bytes(4, operator.as_bytes()));
    node.extend(attributes.iter().flat_map(|attribute| bytes(5, attribute)));
    bytes(1, &node)
}

/// An attribute of type INTS.
fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values = values.iter().flat_map(|value| number(8, *value));
    [bytes(1, name.as_bytes()), values.collect(), number(20, 7)].concat()
}

fn floats(name: &str, sides: &[i64], values: &[f32]) -> Vec<u8> {
    initializer(
        name,
        sides,
        1,
        values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    )
}

fn longs(name: &str, values: &[i64]) -> Vec<u8> {
    let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    initializer(name, &[values.len() as i64], 7, raw)
}

fn initializer(name: &str, sides: &[i64], kind: i64, raw: Vec<u8>) -> Vec<u8> {
    let sides: Vec<u8> = sides.iter().flat_map(|side| number(1, *side)).collect();
    bytes(
        5,
        &[sides, number(2, kind), bytes(8, name.as_bytes()), bytes(9, &raw)].concat(),
    )
}

/// A tensor of floats with unknown sides.
fn tensor_info(name: &str, rank: usize) -> Vec<u8> {
    let shape = bytes(1, &[]).repeat(rank);
    let tensor = [number(1, 1), bytes(2, &shape)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// A field of wire type 2.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field of wire type 0.
fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value.cast_unsigned())].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
