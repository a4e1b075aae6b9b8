/** @file What each operation means: a plain evaluation in double precision that every runtime is held against. */
import { fromHalf, toHalf } from '../formats/index.ts'
import { elements, type HalfType, isFloat, isHalf } from './dtype.ts'
import { describe, type Graph, type Node, type Tensor } from './graph.ts'
import type { Op } from './ops.ts'

/** Elements of a tensor, row major; whatever its element type, as doubles. */
export type Values = Float64Array

type Rule<K extends Op> = (node: Node<K>, inputs: readonly Values[]) => readonly Values[]

const rules: { readonly [K in Op]: Rule<K> } = {
  input: (node) => {
    throw new TypeError(`reference: no value for input ${node.attributes.name}`)
  },
  constant: ({ attributes: { dtype, data } }) => [
    data instanceof Uint16Array
      ? Float64Array.from(fromHalf(data, dtype as HalfType))
      : Float64Array.from(data as ArrayLike<number | bigint>, Number),
  ],

  neg: each((x) => -x),
  abs: each(Math.abs),
  exp: each(Math.exp),
  log: each(Math.log),
  sqrt: each(Math.sqrt),
  reciprocal: each((x) => 1 / x),
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  tanh: each(Math.tanh),
  erf: each(erf),
  relu: each((x) => Math.max(x, 0)),
  identity: each((x) => x),
  cast: ({ attributes: { to } }, [x]) => [
    isFloat(to) ? x!.slice() : x!.map(to === 'bool' ? (v) => (v === 0 ? 0 : 1) : Math.trunc),
  ],

  add: pair((a, b) => a + b),
  sub: pair((a, b) => a - b),
  mul: pair((a, b) => a * b),
  div: pair((a, b, integer) => (integer ? Math.trunc(a / b) : a / b)),
  pow: pair((a, b, integer) => (integer ? Math.trunc(a ** b) : a ** b)),
  min: pair((a, b) => Math.min(a, b)),
  max: pair((a, b) => Math.max(a, b)),
  equal: pair((a, b) => Number(a === b)),
  less: pair((a, b) => Number(a < b)),
  greater: pair((a, b) => Number(a > b)),
  where: (node, [condition, a, b]) => {
    const [output] = node.outputs
    const at = node.inputs.map((input) => broadcastIndex(input.shape, output!.shape))
    const pick = (_: number, i: number) => (condition![at[0]!(i)] !== 0 ? a![at[1]!(i)]! : b![at[2]!(i)]!)
    return [new Float64Array(elements(output!.shape)).map(pick)]
  },

  matmul: (node, [a, b]) => {
    const [left, right] = node.inputs as [Tensor, Tensor]
    const output = node.outputs[0]!
    const { transA, transB } = node.attributes
    const [m, n] = [output.shape.at(-2)!, output.shape.at(-1)!]
    const k = left.shape.at(transA ? -2 : -1)!
    const batch = output.shape.slice(0, -2)
    const atA = broadcastIndex(left.shape.slice(0, -2), batch)
    const atB = broadcastIndex(right.shape.slice(0, -2), batch)
    const result = new Float64Array(elements(output.shape))
    for (let batchIndex = 0; batchIndex < elements(batch); batchIndex++) {
      const offsetA = atA(batchIndex) * m * k
      const offsetB = atB(batchIndex) * k * n
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0
          for (let p = 0; p < k; p++) {
            sum +=
              a![offsetA + (transA ? p * m + i : i * k + p)]! *
              b![offsetB + (transB ? j * k + p : p * n + j)]!
          }
          result[(batchIndex * m + i) * n + j] = sum
        }
      }
    }
    return [result]
  },
  softmax: (node, [x]) => {
    const result = x!.slice()
    for (const line of lines(node.inputs[0]!.shape, node.attributes.axis)) {
      const top = line.reduce((most, i) => Math.max(most, x![i]!), Number.NEGATIVE_INFINITY)
      const sum = line.reduce((total, i) => total + Math.exp(x![i]! - top), 0)
      for (const i of line) result[i] = Math.exp(x![i]! - top) / sum
    }
    return [result]
  },

  reduceSum: reduction((group) => group.reduce((sum, x) => sum + x, 0)),
  reduceMean: reduction((group) => group.reduce((sum, x) => sum + x, 0) / group.length),
  reduceMax: reduction((group) => group.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY)),
  reduceSumSquare: reduction((group) => group.reduce((sum, x) => sum + x * x, 0)),

  reshape: (_, [x]) => [x!.slice()],
  transpose: (node, [x]) => {
    const { permutation } = node.attributes
    const strides = stridesOf(node.inputs[0]!.shape)
    return [pick(x!, node.outputs[0]!.shape, (index) => dot(index, (axis) => strides[permutation[axis]!]!))]
  },
  expand: (node, [x]) => {
    const at = broadcastIndex(node.inputs[0]!.shape, node.outputs[0]!.shape)
    return [new Float64Array(elements(node.outputs[0]!.shape)).map((_, i) => x![at(i)]!)]
  },
  concat: (node, inputs) => {
    const { axis } = node.attributes
    const { shape } = node.outputs[0]!
    const inner = elements(shape.slice(axis + 1))
    const result = new Float64Array(elements(shape))
    let start = 0
    node.inputs.forEach((input, which) => {
      const width = input.shape[axis]! * inner
      for (let outer = 0; outer < elements(shape.slice(0, axis)); outer++) {
        const from = inputs[which]!.subarray(outer * width, (outer + 1) * width)
        result.set(from, outer * shape[axis]! * inner + start)
      }
      start += width
    })
    return [result]
  },
  split: (node, [x]) => {
    let start = 0
    return node.outputs.map((output) => {
      const offset = start
      start += output.shape[node.attributes.axis]!
      return cut(x!, node.inputs[0]!.shape, node.attributes.axis, offset, output.shape)
    })
  },
  slice: ({ inputs, outputs, attributes: { axis, start } }, [x]) => [
    cut(x!, inputs[0]!.shape, axis, start, outputs[0]!.shape),
  ],
  gather: (node, [data, indices]) => {
    const { axis } = node.attributes
    const { shape } = node.inputs[0]!
    const inner = elements(shape.slice(axis + 1))
    const count = elements(node.inputs[1]!.shape)
    const result = new Float64Array(elements(node.outputs[0]!.shape))
    for (let outer = 0; outer < elements(shape.slice(0, axis)); outer++) {
      for (let i = 0; i < count; i++) {
        const row = outer * shape[axis]! + wrap(node, indices![i]!, shape[axis]!)
        result.set(data!.subarray(row * inner, (row + 1) * inner), (outer * count + i) * inner)
      }
    }
    return [result]
  },
  gatherElements: (node, [data, indices]) => {
    const at = elementIndex(node, indices!)
    return [new Float64Array(indices!.length).map((_, i) => data![at(i)]!)]
  },
  scatterElements: (node, [data, indices, updates]) => {
    const at = elementIndex(node, indices!)
    const result = data!.slice()
    for (let i = 0; i < indices!.length; i++) {
      result[at(i)] = updates![i]! + (node.attributes.reduction === 'add' ? result[at(i)]! : 0)
    }
    return [result]
  },
}

/** Evaluates one node. Inputs and outputs in node order. */
export function evaluateNode<K extends Op>(node: Node<K>, inputs: readonly Values[]): readonly Values[] {
  const outputs = (rules[node.op] as Rule<K>)(node, inputs)
  // what a type of 16 bits cannot hold is lost at once, whatever it was computed in
  return outputs.map((values, i) => {
    const { dtype } = node.outputs[i]!
    if (!isHalf(dtype)) return values
    return Float64Array.from(fromHalf(toHalf(Float32Array.from(values), dtype), dtype))
  })
}

/** Evaluates the outputs of a graph in double precision. Slow: for tests and small constants. */
export function evaluate(graph: Graph, inputs: ReadonlyMap<string, ArrayLike<number>>): Map<string, Values> {
  const known = new Map<Tensor, Values>()
  for (const [name, tensor] of graph.inputs) {
    const given = inputs.get(name)
    if (given === undefined) throw new TypeError(`evaluate: no value for input ${name}`)
    if (given.length !== elements(tensor.shape)) {
      throw new TypeError(`evaluate: ${given.length} elements for input ${name}, ${describe(tensor)}`)
    }
    known.set(tensor, Float64Array.from(given))
  }
  for (const node of graph.nodes) {
    if (node.op === 'input') continue
    const results = evaluateNode(
      node,
      node.inputs.map((input) => known.get(input)!),
    )
    node.outputs.forEach((output, i) => void known.set(output, results[i]!))
  }
  return new Map([...graph.outputs].map(([name, tensor]) => [name, known.get(tensor)!]))
}

function each(f: (x: number) => number) {
  return (_: Node, [x]: readonly Values[]) => [x!.map((v) => f(v))]
}

function pair(f: (a: number, b: number, integer: boolean) => number) {
  return (node: Node, [a, b]: readonly Values[]) => {
    const { shape } = node.outputs[0]!
    const integer = !isFloat(node.inputs[0]!.dtype)
    const atA = broadcastIndex(node.inputs[0]!.shape, shape)
    const atB = broadcastIndex(node.inputs[1]!.shape, shape)
    return [new Float64Array(elements(shape)).map((_, i) => f(a![atA(i)]!, b![atB(i)]!, integer))]
  }
}

function reduction(f: (group: number[]) => number) {
  return (node: Node & { attributes: { axes: readonly number[] } }, [x]: readonly Values[]) => {
    const { shape } = node.inputs[0]!
    const { axes } = node.attributes
    const kept = shape.map((size, i) => (axes.includes(i) ? 1 : size))
    const groups = Array.from({ length: elements(kept) }, (): number[] => [])
    const at = broadcastIndex(kept, shape)
    for (let i = 0; i < x!.length; i++) groups[at(i)]!.push(x![i]!)
    return [Float64Array.from(groups, f)]
  }
}

function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => elements(shape.slice(i + 1)))
}

function coordinates(flat: number, strides: readonly number[], shape: readonly number[]): number[] {
  return strides.map((stride, i) => Math.floor(flat / stride) % shape[i]!)
}

function dot(index: readonly number[], stride: (axis: number) => number): number {
  return index.reduce((sum, position, axis) => sum + position * stride(axis), 0)
}

/** Flat index into `shape` of the element that is broadcast to flat index i of `target`. */
function broadcastIndex(shape: readonly number[], target: readonly number[]): (i: number) => number {
  const lead = target.length - shape.length
  const from = stridesOf(shape)
  const to = stridesOf(target)
  return (i) =>
    dot(coordinates(i, to, target), (axis) =>
      axis < lead || shape[axis - lead] === 1 ? 0 : from[axis - lead]!,
    )
}

function pick(x: Values, shape: readonly number[], source: (index: readonly number[]) => number): Values {
  const strides = stridesOf(shape)
  return new Float64Array(elements(shape)).map((_, i) => x[source(coordinates(i, strides, shape))]!)
}

function cut(
  x: Values,
  from: readonly number[],
  axis: number,
  start: number,
  shape: readonly number[],
): Values {
  const strides = stridesOf(from)
  return pick(x, shape, (index) => dot(index, (a) => strides[a]!) + start * strides[axis]!)
}

/** Flat indices of each line along an axis. */
function lines(shape: readonly number[], axis: number): number[][] {
  const inner = elements(shape.slice(axis + 1))
  const starts = Array.from({ length: elements(shape.with(axis, 1)) }, (_, i) => i)
  return starts.map((i) => {
    const start = Math.floor(i / inner) * shape[axis]! * inner + (i % inner)
    return Array.from({ length: shape[axis]! }, (_, j) => start + j * inner)
  })
}

function elementIndex(
  node: Node<'gatherElements' | 'scatterElements'>,
  indices: Values,
): (i: number) => number {
  const { axis } = node.attributes
  const data = node.inputs[0]!.shape
  const { shape } = node.inputs[1]!
  const from = stridesOf(data)
  const to = stridesOf(shape)
  return (i) =>
    dot(coordinates(i, to, shape).with(axis, wrap(node, indices[i]!, data[axis]!)), (a) => from[a]!)
}

/** ONNX counts negative indices from the end; anything else outside is an error. */
function wrap(node: Node, index: number, size: number): number {
  const positive = index < 0 ? index + size : index
  if (positive < 0 || positive >= size)
    throw new RangeError(`${node.op}: index ${index} outside 0 to ${size - 1}`)
  return positive
}

/** Error function: the Maclaurin series where it converges fast, else the continued fraction of erfc. */
function erf(x: number): number {
  const z = Math.abs(x)
  if (z > 6) return Math.sign(x)
  if (z < 2.5) {
    // erf x = 2/sqrt(pi) sum (-1)^n x^(2n+1) / (n! (2n+1))
    let term = z
    let sum = z
    for (let n = 1; n < 80; n++) {
      term *= -(z * z) / n
      sum += term / (2 * n + 1)
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
  }
  // erfc x = e^(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))
  let fraction = z
  for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * fraction))
}
