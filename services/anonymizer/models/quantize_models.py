#!/usr/bin/env python3
"""Make the 8-bit versions of the two detection networks.

  quantize_models.py MODELS PHOTOS OUTPUT

MODELS  folder with nanodet_g_dyn_w16.onnx and centerface_dyn.onnx (the float networks)
PHOTOS  folder with photos for calibration, searched with its subfolders; about a hundred photos of the kind the
        service will see: people near and far, empty sites, night, fog, old prints
OUTPUT  folder for nanodet_g_int8.onnx and centerface_int8.onnx

The new files have the inputs and outputs of the old ones: same names, same shapes, free height and width.
Needs onnxruntime, onnx, numpy and Pillow. It takes some minutes and about 2 GB of memory.

Steps:
1. Simplify the graph without changing its results: weights become 32-bit floats, paddings become part of the
   convolutions, and a LeakyRelu before a MaxPool moves behind it. (NanoDet pads its MaxPool with minus infinity. As a
   separate layer, this padding would distort the calibration.)
2. Resize the photos, cut them into tiles of the sizes that the service uses, run the float network on the tiles, and
   record the largest value of each channel.
3. Equalise the ranges of the channels: divide a channel by a factor and multiply by it in the next layer. This does not
   change the results, but makes one step size suitable for all channels of a layer.
4. Choose a step size and a zero point for each layer. The top of the range is the largest recorded value. Before a
   LeakyRelu, the bottom minimises the error behind it, because negative values are divided by ten there.
5. Round the weights one input at a time. The remaining inputs compensate the error measured on the tiles (GPTQ). Biases
   compensate the remaining mean error.
6. Write the network with QuantizeLinear and DequantizeLinear nodes. ONNX Runtime turns them into 8-bit layers.

Weights have 7 bits, -64 to 63, except in depthwise layers. Processors with AVX2 but without VNNI add two products in
16 bits. With 8-bit weights this sum can overflow, which makes the scores wrong. With 7 bits all processors have the
same results. The first layers stay in float: they are the most sensitive, and 8 bits do not make them faster.

The same photos and the same library versions give the same bytes. Other photos give slightly different networks.
"""
import os
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')      # same order of additions each time
import argparse
import hashlib
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageOps

# ---------------------------------------------------------------- calibration

STEP, SIDE = 32, 768                # the networks' inputs are multiples of STEP, and the service's no longer than SIDE


def tiles_of(photo, random, fine_tiles):
    """`fine_tiles` tiles of the photo at 1.2 megapixels, and one at 0.15 megapixels: the scales that the service uses."""
    result = []
    for pixels, count in ((1.2e6, fine_tiles), (.15e6, 1)):
        scale = min(2, (pixels / (photo.width * photo.height)) ** .5)
        width, height = max(STEP, round(photo.width * scale)), max(STEP, round(photo.height * scale))
        reduced = np.asarray(photo.resize((width, height), Image.BILINEAR))
        wide, high = min(SIDE, width // STEP * STEP), min(SIDE, height // STEP * STEP)
        for _ in range(count):
            x, y = random.integers(width - wide + 1), random.integers(height - high + 1)
            result.append(reduced[y:y + high, x:x + wide])
    return result


def calibration_tiles(folder, fine_tiles):
    paths = sorted(os.path.join(place, name) for place, _, names in os.walk(folder, followlinks=True)
                   for name in names if name.lower().endswith(('.jpg', '.jpeg', '.png', '.webp')))
    random = np.random.default_rng(1)
    tiles = []
    for path in paths:
        with Image.open(path) as file:
            tiles += tiles_of(ImageOps.exif_transpose(file).convert('RGB'), random, fine_tiles)
    if not tiles:
        raise SystemExit('no photos in ' + folder)
    print(len(paths), 'photos,', len(tiles), 'tiles')
    return tiles


def nanodet_input(tile):
    mean = np.array([103.53, 116.28, 123.675], np.float32)
    deviation = np.array([57.375, 57.12, 58.395], np.float32)
    return np.ascontiguousarray(((tile[:, :, ::-1] - mean) / deviation).transpose(2, 0, 1)[None].astype(np.float32))


def centerface_input(tile):
    return np.ascontiguousarray(tile.transpose(2, 0, 1)[None].astype(np.float32))


# ---------------------------------------------------------------- the float graph

def constants(model):
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def attribute(node, name, default=None):
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def is_depthwise(node):
    return attribute(node, 'group', 1) > 1


def replace_nodes(model, nodes):
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def tidy(model):
    """Remove unused nodes, name every node."""
    graph = model.graph
    used = {x for n in graph.node for x in n.input}
    kept = [i for i in graph.initializer if i.name in used]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(kept)
    names = {i.name for i in kept}
    inputs = [i for i in graph.input if i.name not in names]
    del graph.input[:]
    graph.input.extend(inputs)
    for node in graph.node:
        node.name = node.op_type + '_' + node.output[0]
    return model


def float_nanodet(path):
    model = onnx.load(path)
    graph = model.graph
    values = constants(model)
    for node in graph.node:                                  # weights as 32-bit floats
        if node.op_type == 'Cast' and node.input[0] in values:
            graph.initializer.append(numpy_helper.from_array(values[node.input[0]].astype(np.float32), node.output[0]))
    replace_nodes(model, [n for n in graph.node if not (n.op_type == 'Cast' and n.input[0] in values)])
    pads = {n.output[0]: n for n in graph.node if n.op_type == 'Pad'}
    for node in graph.node:                                  # paddings into the layers behind them
        if node.op_type in ('Conv', 'MaxPool') and node.input[0] in pads:
            pad = pads[node.input[0]]
            sizes = values[pad.input[1]]
            fill = float(values[pad.input[2]]) if len(pad.input) > 2 and pad.input[2] else 0
            assert not sizes[[0, 1, 4, 5]].any() and fill == (0 if node.op_type == 'Conv' else -np.inf)
            node.input[0] = pad.input[0]
            kept = [a for a in node.attribute if a.name != 'pads']
            del node.attribute[:]
            node.attribute.extend(kept + [helper.make_attribute('pads', [int(v) for v in sizes[[2, 3, 6, 7]]])])
    nodes = [n for n in graph.node if n.op_type != 'Pad']
    pool = next(n for n in nodes if n.op_type == 'MaxPool')  # LeakyRelu behind the MaxPool: a quarter of the work
    leaky = next(n for n in nodes if n.output[0] == pool.input[0])
    assert leaky.op_type == 'LeakyRelu'
    start, middle, end = leaky.input[0], leaky.output[0], pool.output[0]
    pool.input[0], pool.output[0], leaky.input[0], leaky.output[0] = start, middle, middle, end
    i, j = nodes.index(leaky), nodes.index(pool)
    nodes[i], nodes[j] = pool, leaky
    replace_nodes(model, nodes)
    return tidy(model)


def float_centerface(path):
    model = onnx.version_converter.convert_version(tidy(onnx.load(path)), 13)   # 13 knows a step size per channel
    model.ir_version = 7
    return tidy(model)


# ---------------------------------------------------------------- running it

def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])


def run_with(model, tensors, inputs):
    """Values of the named tensors, once for every input."""
    start = model.graph.input[0].name
    outputs = {o.name for o in model.graph.output}
    wanted = sorted(set(tensors) - {start})
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for name in wanted:
        if name not in outputs:
            copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    runner = session(copy)
    for value in inputs:
        yield dict(zip(wanted, runner.run(wanted, {start: value})), **{start: value})


class Seen:
    """Statistics of one tensor: lowest and highest value, highest absolute value by channel, some values."""

    def __init__(self):
        self.low, self.high, self.channels, self.some = 0., 0., None, []

    def add(self, value):
        self.low, self.high = min(self.low, float(value.min())), max(self.high, float(value.max()))
        top = np.abs(value[0]).max((1, 2))
        self.channels = top if self.channels is None else np.maximum(self.channels, top)
        flat = value.reshape(-1)
        self.some.append(flat[::max(1, flat.size // 1500) | 1].copy())


def watch(model, inputs):
    seen = {}
    for values in run_with(model, [o for n in model.graph.node for o in n.output], inputs):
        for name, value in values.items():
            if value.ndim == 4:
                seen.setdefault(name, Seen()).add(value)
    for item in seen.values():
        item.some = np.concatenate(item.some)
    return seen


# ---------------------------------------------------------------- similar ranges for all channels

class Groups:
    """Groups of items that must share a value (union-find)."""

    def __init__(self):
        self.parent = {}

    def root(self, key):
        self.parent.setdefault(key, key)
        while self.parent[key] != key:
            key = self.parent[key]
        return key

    def join(self, a, b):
        self.parent[self.root(a)] = self.root(b)


def equalise(model, seen, power):
    """Divide each channel by (its largest value) ** power, and multiply by it in the next layer."""
    graph = model.graph
    values = constants(model)
    groups, channels, fixed, count = Groups(), {}, set(), 0
    consumers = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node.op_type)
    for node in graph.node:                                  # follow the channels through the graph
        out, sources = node.output[0], [channels[x] for x in node.input if x in channels]
        if node.op_type in ('LeakyRelu', 'Relu', 'MaxPool', 'Resize') and sources:
            channels[out] = sources[0]
        elif node.op_type == 'Concat' and len(sources) == len(node.input):
            channels[out] = sum(sources, [])
        elif node.op_type == 'Add' and len(sources) == 2:
            for a, b in zip(*sources):
                groups.join(a, b)
            channels[out] = sources[0]
        else:
            if node.op_type != 'Conv':                       # a layer that allows no other scales
                fixed.update(*sources)
            for name in node.output:
                if name in seen:
                    size = len(seen[name].channels)
                    channels[name] = list(range(count, count + size))
                    count += size
                    if node.op_type != 'Conv':
                        fixed.update(channels[name])
        if node.op_type == 'Conv' and is_depthwise(node):
            assert values[node.input[1]].shape[1] == 1
    for output in graph.output:
        fixed.update(channels.get(output.name, []))
    roots = np.array([groups.root(k) for k in range(count)])
    top = np.zeros(count)
    for name, ids in channels.items():
        if name in seen and not set(consumers.get(name, [])) <= {'LeakyRelu', 'Relu'}:
            np.maximum.at(top, roots[ids], seen[name].channels)
    free = top > 1e-6
    free[roots[sorted(fixed)]] = False
    factor = np.ones(count)
    factor[free] = top[free] ** power
    factor[free] /= np.exp(np.log(factor[free]).mean())
    factor = np.clip(factor, 1 / 16, 16)[roots]
    for node in graph.node:
        if node.op_type != 'Conv':
            continue
        out = factor[channels[node.output[0]]]
        weight = values[node.input[1]] / out[:, None, None, None]
        if node.input[0] in channels:
            into = factor[channels[node.input[0]]]
            weight = weight * (into[:, None, None, None] if is_depthwise(node) else into[None, :, None, None])
        values[node.input[1]] = weight.astype(np.float32)
        if len(node.input) > 2:
            values[node.input[2]] = (values[node.input[2]] / out).astype(np.float32)
    for item in graph.initializer:
        item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[item.name]), item.name))


# ---------------------------------------------------------------- step sizes of the layers

def step_and_zero(low, high):
    step = max((max(high, 0.) - min(low, 0.)) / 255, 1e-8)
    return float(np.float32(step)), int(np.clip(round(-min(low, 0.) / step), 0, 255))


def leaky(x):
    return np.where(x >= 0, x, x * np.float32(.1))


def range_before_leaky(seen):
    """Keep the top; choose the bottom with the least square error behind the LeakyRelu."""
    some = seen.some[::max(1, seen.some.size // 60000)]
    best = None
    for share in (1, .9, .8, .7, .6, .5, .4, .3, .2):
        step, zero = step_and_zero(seen.low * share, seen.high)
        rounded = (np.clip(np.rint(some / step) + zero, 0, 255) - zero) * step
        error = float(((leaky(rounded) - leaky(some)) ** 2).mean())
        if best is None or error < best[0]:
            best = error, -zero * step
    return best[1], seen.high


SAME = ('Concat', 'MaxPool', 'Resize')                       # these have one step size for all inputs and outputs
EIGHT_BIT = SAME + ('Conv', 'LeakyRelu', 'Add')


def data_inputs(node):
    return list(node.input) if node.op_type in ('Concat', 'Add') else [node.input[0]]


def choose_steps(nodes, eight, absorbed, seen):
    producer = {o: n for n in nodes for o in n.output}
    consumers = {}
    for node in nodes:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    tensors = {t for n in nodes if n.name in eight for t in data_inputs(n) + list(n.output)} - absorbed
    groups = Groups()
    for node in nodes:
        if node.name in eight and node.op_type in SAME:
            for name in data_inputs(node):
                groups.join(name, node.output[0])
    members = {}
    for name in sorted(tensors):
        members.setdefault(groups.root(name), []).append(name)

    def before_leaky(name):
        return bool(consumers.get(name)) and all(c.op_type == 'LeakyRelu' for c in consumers[name])

    steps = {}
    for names in members.values():
        low = high = 0.
        sources = [t for t in names if t in producer and producer[t].op_type not in SAME] or names
        for name in sources:
            bottom, top = seen[name].low, seen[name].high
            if before_leaky(name):
                bottom, top = range_before_leaky(seen[name])
            elif name in producer and producer[name].op_type == 'LeakyRelu':
                bottom = .1 * range_before_leaky(seen[producer[name].input[0]])[0]
            low, high = min(low, bottom), max(high, top)
        for name in names:
            steps[name] = step_and_zero(low, high)
    return steps


# ---------------------------------------------------------------- weights

def weight_steps(weight, bits):
    """Step size of each output channel with the least square error."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    top = 2 ** (bits - 1) - 1
    largest = np.maximum(np.abs(rows).max(1), 1e-9)
    steps, least = largest / top, np.full(len(rows), np.inf)
    for share in (1, .97, .94, .91, .88, .85, .8, .75):
        step = largest * share / top
        error = ((np.clip(np.rint(rows / step[:, None]), -top - 1, top) * step[:, None] - rows) ** 2).sum(1)
        steps, least = np.where(error < least, step, steps), np.minimum(error, least)
    return steps.astype(np.float32)


def input_statistics(model, nodes, inputs, positions):
    """For each convolution: mean of x x' and of x over sampled positions, where x is the input of one position."""
    sizes = {i.name: i.dims for i in model.graph.initializer}
    random = np.random.default_rng(0)
    square, total, rows, waiting = {}, {}, 0, {n.name: [] for n in nodes}

    def gather():
        for name, parts in waiting.items():
            if parts:
                x = np.concatenate(parts)
                parts.clear()
                square[name] = square.get(name, 0) + x.T @ x
                total[name] = total.get(name, 0) + x.sum(0, dtype=np.float64)

    for number, values in enumerate(run_with(model, [n.input[0] for n in nodes], inputs)):
        for node in nodes:
            pads, stride = attribute(node, 'pads', [0] * 4), attribute(node, 'strides', [1, 1])[0]
            side = sizes[node.input[1]][2]
            x = np.pad(values[node.input[0]][0], ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
            y_at = random.integers(0, (x.shape[1] - side) // stride + 1, positions) * stride
            x_at = random.integers(0, (x.shape[2] - side) // stride + 1, positions) * stride
            parts = [x[:, y_at + dy, x_at + dx].T for dy in range(side) for dx in range(side)]
            waiting[node.name].append(np.stack(parts, 2).reshape(positions, -1))
        rows += positions
        if number % 20 == 19:
            gather()
    gather()
    return {name: (square[name].astype(np.float64) / rows, total[name] / rows) for name in square}


def round_weights(weight, steps, square, bits):
    """Round input by input, the strongest first; the remaining inputs compensate the error."""
    top, steps = 2 ** (bits - 1) - 1, steps.astype(np.float64)
    order = np.argsort(-np.diag(square), kind='stable')
    rows = weight.reshape(len(weight), -1).astype(np.float64)[:, order]
    square = square[order][:, order]
    size = len(square)
    square[np.arange(size), np.arange(size)] += .01 * np.mean(np.diag(square))
    upper = np.linalg.cholesky(np.linalg.inv(square)).T.copy()
    result = np.zeros_like(rows)
    for begin in range(0, size, 128):
        end = min(begin + 128, size)
        errors = np.zeros((len(rows), end - begin))
        for i in range(begin, end):
            result[:, i] = np.clip(np.rint(rows[:, i] / steps), -top - 1, top)
            errors[:, i - begin] = (rows[:, i] - result[:, i] * steps) / upper[i, i]
            rows[:, i:end] -= errors[:, i - begin, None] * upper[i, i:end]
        rows[:, end:] -= errors @ upper[begin:end, end:]
    return result[:, np.argsort(order)].reshape(weight.shape).astype(np.int8)


def rounded_weights(model, nodes, inputs, positions):
    """For each convolution: weights as int8, their step sizes, the float bias."""
    values = constants(model)
    dense = [n for n in nodes if not is_depthwise(n)]
    statistics = input_statistics(model, dense, inputs, positions)
    result = {}
    for node in nodes:
        weight = values[node.input[1]]
        bias = values[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(weight))
        if node.name in statistics:
            square, mean = statistics.pop(node.name)
            steps = weight_steps(weight, 7)
            whole = round_weights(weight, steps, square, 7)
            lost = weight.reshape(len(weight), -1) - whole.reshape(len(weight), -1) * steps[:, None].astype(np.float64)
            bias = bias + lost @ mean
        else:                                                # depthwise layers add in 32 bits: 8 bits cannot overflow
            steps = weight_steps(weight, 8)
            whole = np.clip(np.rint(weight / steps[:, None, None, None]), -128, 127).astype(np.int8)
        result[node.name] = whole, steps, bias
    return result


# ---------------------------------------------------------------- the 8-bit graph

def quantise(model, inputs, seen, float_nodes, positions):
    graph = model.graph
    nodes = list(graph.node)
    values = constants(model)
    producer = {o: n for n in nodes for o in n.output}
    reads = {}
    for node in nodes:
        for name in node.input:
            reads[name] = reads.get(name, 0) + 1
    eight = {n.name for n in nodes if n.op_type in EIGHT_BIT and n.name not in float_nodes}
    # A Relu needs no layer: the 8-bit output of the layer before it starts at zero.
    relus = {n.input[0]: n for n in nodes if n.op_type == 'Relu' and reads[n.input[0]] == 1
             and producer[n.input[0]].name in eight}
    eight |= {n.name for n in relus.values()}
    steps = choose_steps(nodes, eight, set(relus), seen)
    weights = rounded_weights(model, [n for n in nodes if n.op_type == 'Conv' and n.name in eight], inputs, positions)
    result, added = [], []

    def constant(name, value):
        added.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def to_eight_bits(name, source):
        step = constant(name + '_step', np.float32(steps[name][0]))
        zero = constant(name + '_zero', np.uint8(steps[name][1]))
        result.append(helper.make_node('QuantizeLinear', [source, step, zero], [name + '_8'], name=name + '_to_8'))
        result.append(helper.make_node('DequantizeLinear', [name + '_8', step, zero], [name + '_back'], name=name + '_from_8'))

    def weight_input(name, whole, step):
        value, scale = constant(name, whole), constant(name + '_step', step)
        zero = constant(name + '_zero', np.zeros(len(step), whole.dtype))
        result.append(helper.make_node('DequantizeLinear', [value, scale, zero], [name + '_back'], axis=0, name=name + '_from_8'))
        return name + '_back'

    for item in graph.input:
        if item.name in steps:
            to_eight_bits(item.name, item.name)
    for node in nodes:
        if node.op_type == 'Relu' and node.name in eight:
            continue
        new = onnx.NodeProto()
        new.CopyFrom(node)
        if node.name not in eight:
            for k, name in enumerate(node.input):
                if name in steps and name in producer and producer[name].name in eight:
                    new.input[k] = name + '_back'
            result.append(new)
            for name in node.output:
                if name in steps:
                    to_eight_bits(name, name)
            continue
        for k, name in enumerate(node.input):
            if name in steps:
                new.input[k] = name + '_back'
        if node.op_type == 'Conv':
            whole, step, bias = weights[node.name]
            bias_step = np.float32(steps[node.input[0]][0]) * step
            whole_bias = np.clip(np.rint(bias / bias_step), -2 ** 31 + 1, 2 ** 31 - 1).astype(np.int32)
            del new.input[1:]
            new.input.append(weight_input(node.name + '_weight', whole, step))
            new.input.append(weight_input(node.name + '_bias', whole_bias, bias_step))
        name = relus[node.output[0]].output[0] if node.output[0] in relus else node.output[0]
        new.output[0] = name + '_float'
        result.append(new)
        to_eight_bits(name, name + '_float')
    replace_nodes(model, result)
    used = {x for n in result for x in n.input}
    kept = [numpy_helper.from_array(values[i.name], i.name) for i in graph.initializer if i.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept + added)
    model.producer_name, model.producer_version, model.doc_string = 'quantize_models.py', '', ''
    onnx.checker.check_model(model)


def nanodet_float_nodes(nodes):
    """The first five nodes: two convolutions and what follows, up to the second LeakyRelu."""
    return {n.name for n in nodes[:5]}


def centerface_float_nodes(nodes):
    """The first three convolutions, and everything from the first ConvTranspose on."""
    first = next(k for k, n in enumerate(nodes) if n.op_type == 'ConvTranspose')
    return {n.name for n in nodes[:5] + nodes[first:]}


NETWORKS = (('nanodet_g_dyn_w16.onnx', 'nanodet_g_int8.onnx', float_nanodet, nanodet_input, nanodet_float_nodes, 1.),
            ('centerface_dyn.onnx', 'centerface_int8.onnx', float_centerface, centerface_input, centerface_float_nodes, .7))


def main():
    parser = argparse.ArgumentParser(description='Make the 8-bit versions of the two detection networks.')
    parser.add_argument('models', help='folder with the float networks')
    parser.add_argument('photos', help='folder with photos for calibration')
    parser.add_argument('output', help='folder for the 8-bit networks')
    parser.add_argument('--tiles', type=int, default=2, help='tiles of each photo at the fine scale (default 2)')
    parser.add_argument('--positions', type=int, default=80, help='positions of each tile for the weights (default 80)')
    options = parser.parse_args()
    tiles = calibration_tiles(options.photos, options.tiles)
    os.makedirs(options.output, exist_ok=True)
    for source, target, load, prepare, float_nodes, power in NETWORKS:
        inputs = lambda: (prepare(tile) for tile in tiles)
        model = load(os.path.join(options.models, source))
        equalise(model, watch(model, inputs()), power)
        quantise(model, inputs(), watch(model, inputs()), float_nodes(list(model.graph.node)), options.positions)
        path = os.path.join(options.output, target)
        data = model.SerializeToString(deterministic=True)
        with open(path, 'wb') as file:
            file.write(data)
        print(path, len(data), hashlib.sha256(data).hexdigest(), flush=True)


if __name__ == '__main__':
    main()
