/** @file Generated uses of every operation of the closed set: types, shapes, attributes and values. */
import fc from 'fast-check'
import { toHalf } from '../src/formats/index.ts'
import { type DType, elements, type Op, type OpAttributes } from '../src/graph/index.ts'

/** A value that goes into an operation. */
export interface CaseInput {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

/** One use of an operation. */
export interface OpCase<K extends Op = Op> {
  readonly attributes: OpAttributes[K]
  readonly inputs: readonly CaseInput[]
  /** Which inputs have a derivative there; all of float32 unless said otherwise. */
  readonly wrt?: readonly number[]
  /** Which outputs a loss uses; all unless said otherwise. */
  readonly used?: readonly number[]
}

interface OpCases<K extends Op> {
  /** Uses that can be differentiated, away from kinks; null where the operation has no gradient. */
  readonly smooth: fc.Arbitrary<OpCase<K>> | null
  /** Uses of every type and shape that the operation takes. */
  readonly any: fc.Arbitrary<OpCase<K>>
}

const ALL: readonly DType[] = ['float32', 'int32', 'int64', 'bool']
const NUMBERS: readonly DType[] = ['float32', 'int32', 'int64']

/** Sizes of axes; a few of them zero where `empty`. */
const size = (empty = false) => fc.integer({ min: empty ? 0 : 1, max: 3 })
const shapes = (minimum = 0, maximum = 4, empty = false) =>
  fc.array(size(empty), { minLength: minimum, maxLength: maximum })
const grid = (count: number, offset = 0, from = -20, to = 20) =>
  fc
    .array(fc.integer({ min: from, max: to }), { minLength: count, maxLength: count })
    .map((list) => list.map((k) => k / 10 + offset))

/** A value of some shape. Floats lie on a grid of tenths, moved by `offset`; integers are small. */
function value(
  dtype: DType,
  shape: readonly number[],
  range: { offset?: number; from?: number; to?: number } = {},
): fc.Arbitrary<CaseInput> {
  const { offset = 0, from = -20, to = 20 } = range
  const count = elements(shape)
  if (dtype === 'float32') return grid(count, offset, from, to).map((values) => ({ dtype, shape, values }))
  const integer = dtype === 'bool' ? fc.integer({ min: 0, max: 1 }) : fc.integer({ min: from, max: to })
  return fc.array(integer, { minLength: count, maxLength: count }).map((values) => ({ dtype, shape, values }))
}

/** A shape that broadcasts to `target`: leading axes dropped, others of size 1. */
const broadcastTo = (target: readonly number[]) =>
  fc
    .tuple(fc.integer({ min: 0, max: target.length }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }))
    .map(([drop, one]) => target.map((n, i) => (one[i] ? 1 : n)).slice(drop))

function unary<K extends Op>(range: { offset?: number; from?: number; to?: number } = {}): OpCases<K> {
  const of = (empty: boolean): fc.Arbitrary<OpCase<K>> =>
    shapes(0, 4, empty)
      .chain((shape) => value('float32', shape, range))
      .map((x) => ({ attributes: null as OpAttributes[K], inputs: [x] }))
  return { smooth: of(false), any: of(true) }
}

type Range = { offset?: number; from?: number; to?: number }

function pairOf<K extends Op>(
  types: readonly DType[],
  empty: boolean,
  left: Range,
  right: Range,
): fc.Arbitrary<OpCase<K>> {
  return fc
    .tuple(fc.constantFrom(...types), shapes(0, 4, empty))
    .chain(([dtype, target]) =>
      fc
        .tuple(broadcastTo(target), broadcastTo(target))
        .chain(([a, b]) => fc.tuple(value(dtype, a, left), value(dtype, b, right))),
    )
    .map((inputs) => ({ attributes: null as OpAttributes[K], inputs }))
}

function binary<K extends Op>(types: readonly DType[], left: Range = {}, right: Range = {}): OpCases<K> {
  return { smooth: pairOf(['float32'], false, left, right), any: pairOf(types, true, left, right) }
}

/** Comparisons have no gradient. */
function comparison<K extends Op>(types: readonly DType[]): OpCases<K> {
  // a narrow range, so that equal values occur
  const range = { from: -2, to: 2 }
  return { smooth: null, any: pairOf(types, true, range, range) }
}

type Reduction = 'reduceSum' | 'reduceMean' | 'reduceMax' | 'reduceSumSquare'

function reduction<K extends Reduction>(
  values: (shape: readonly number[]) => fc.Arbitrary<CaseInput>,
): OpCases<K> {
  const one = shapes(0, 4).chain((shape) =>
    fc
      .tuple(fc.subarray(shape.map((_, i) => i)), fc.boolean(), values(shape))
      .map(([axes, keepDims, x]) => ({ attributes: { axes, keepDims } as OpAttributes[K], inputs: [x] })),
  )
  return { smooth: one, any: one }
}

/** Values of which no two are nearer than 0.3, in any order. */
const distinct = (shape: readonly number[]): fc.Arbitrary<CaseInput> => {
  const all = Array.from({ length: elements(shape) }, (_, i) => i)
  return fc
    .shuffledSubarray(all, { minLength: all.length })
    .map((order) => ({ dtype: 'float32', shape, values: order.map((k) => 0.3 * k - 2) }))
}

/** An operation that moves elements of any type, described for a dtype and shape. */
function moving<K extends Op>(
  rank: number,
  make: (shape: readonly number[]) => fc.Arbitrary<Omit<OpCase<K>, 'inputs'>>,
  empty = false,
): OpCases<K> {
  const of = (types: readonly DType[], zero: boolean): fc.Arbitrary<OpCase<K>> =>
    fc
      .tuple(fc.constantFrom(...types), shapes(rank, 4, zero))
      .chain(([dtype, shape]) => fc.tuple(value(dtype, shape), make(shape)))
      .map(([x, rest]) => ({ ...rest, inputs: [x] }))
  return { smooth: of(['float32'], false), any: of(ALL, empty) }
}

/** An axis of data that has one. */
const axisOf = (shape: readonly number[]) => fc.integer({ min: 0, max: shape.length - 1 })

const indices = (dtype: DType, shape: readonly number[], length: number): fc.Arbitrary<CaseInput> =>
  value(dtype, shape, { from: -length, to: length - 1 })

const indexTypes = fc.constantFrom<DType>('int32', 'int64')

/** A shape of indices for data: as large at most as the data on every axis but `axis`. */
const indexShape = (shape: readonly number[], axis: number) =>
  fc.tuple(...shape.map((n, i) => fc.integer({ min: 1, max: i === axis ? 4 : n })))

/** Indices of which no two name the same element of a line: a permutation's beginning along `axis`. */
function separateIndices(data: readonly number[], axis: number): fc.Arbitrary<CaseInput> {
  return fc.tuple(indexTypes, indexShape(data, axis), fc.nat(6)).map(([dtype, free, turn]) => {
    const shape = free.with(axis, Math.min(free[axis]!, data[axis]!))
    const inner = elements(shape.slice(axis + 1))
    const at = (i: number) => Math.floor(i / inner) % shape[axis]!
    const values = Array.from({ length: elements(shape) }, (_, i) => (at(i) + turn) % data[axis]!)
    return { dtype, shape, values }
  })
}

const scatter = (types: readonly DType[]): fc.Arbitrary<OpCase<'scatterElements'>> =>
  fc
    .tuple(fc.constantFrom(...types), shapes(1, 3), fc.constantFrom<'none' | 'add'>('none', 'add'))
    .chain(([dtype, shape, how]) => {
      const combine = dtype === 'bool' ? 'none' : how
      return axisOf(shape).chain((axis) => {
        const repeated = fc
          .tuple(indexTypes, indexShape(shape, axis))
          .chain(([type, at]) => indices(type, at, shape[axis]!))
        return (combine === 'add' ? repeated : separateIndices(shape, axis))
          .chain((index) => fc.tuple(value(dtype, shape), fc.constant(index), value(dtype, index.shape)))
          .map((inputs) => ({ attributes: { axis, reduction: combine }, inputs }))
      })
    })

const lookup = (types: readonly DType[]): fc.Arbitrary<OpCase<'gather'>> =>
  fc
    .tuple(fc.constantFrom(...types), shapes(1, 3), shapes(0, 2), indexTypes)
    .chain(([dtype, shape, at, type]) =>
      axisOf(shape).chain((axis) =>
        fc
          .tuple(value(dtype, shape), indices(type, at, shape[axis]!))
          .map((inputs) => ({ attributes: { axis }, inputs })),
      ),
    )

const elementLookup = (types: readonly DType[]): fc.Arbitrary<OpCase<'gatherElements'>> =>
  fc.tuple(fc.constantFrom(...types), shapes(1, 3), indexTypes).chain(([dtype, shape, type]) =>
    axisOf(shape).chain((axis) =>
      indexShape(shape, axis)
        .chain((at) => fc.tuple(value(dtype, shape), indices(type, at, shape[axis]!)))
        .map((inputs) => ({ attributes: { axis }, inputs })),
    ),
  )

const choice = (types: readonly DType[], empty: boolean): fc.Arbitrary<OpCase<'where'>> =>
  fc.tuple(fc.constantFrom(...types), shapes(0, 4, empty)).chain(([dtype, target]) =>
    fc
      .tuple(broadcastTo(target), broadcastTo(target), broadcastTo(target))
      .chain(([c, a, b]) => fc.tuple(value('bool', c), value(dtype, a), value(dtype, b)))
      .map((inputs) => ({ attributes: null, inputs })),
  )

/** Products with both flags and batches that broadcast. */
const products: fc.Arbitrary<OpCase<'matmul'>> = fc
  .tuple(shapes(0, 2), size(), size(), size(), fc.boolean(), fc.boolean())
  .chain(([batch, m, k, n, transA, transB]) =>
    fc
      .tuple(broadcastTo(batch), broadcastTo(batch))
      .chain(([a, b]) =>
        fc.tuple(
          value('float32', [...a, ...(transA ? [k, m] : [m, k])]),
          value('float32', [...b, ...(transB ? [n, k] : [k, n])]),
        ),
      )
      .map((inputs) => ({ attributes: { transA, transB }, inputs })),
  )

const joined = (types: readonly DType[], empty: boolean): fc.Arbitrary<OpCase<'concat'>> =>
  fc
    .tuple(
      fc.constantFrom(...types),
      shapes(1, 4, empty),
      fc.array(size(empty), { minLength: 1, maxLength: 3 }),
    )
    .chain(([dtype, shape, sizes]) =>
      axisOf(shape).chain((axis) =>
        fc
          .tuple(...sizes.map((n) => value(dtype, shape.with(axis, n))))
          .map((inputs) => ({ attributes: { axis }, inputs })),
      ),
    )

/** Bases above zero with any exponent, or of any sign with whole exponents, where only the base has a derivative. */
const powers: fc.Arbitrary<OpCase<'pow'>> = fc.oneof(
  pairOf<'pow'>(['float32'], false, { from: 3, to: 25 }, { from: -25, to: 25 }),
  pairOf<'pow'>(['float32'], false, { offset: 0.05 }, {}).map(({ attributes, inputs: [a, b] }) => ({
    attributes,
    inputs: [a!, { ...b!, values: b!.values.map((v) => Math.round(v)) }],
    wrt: [0],
  })),
)

const integerPowers = pairOf<'pow'>(['int32', 'int64'], true, { from: -4, to: 4 }, { from: 0, to: 5 })

export const OP_CASES: { readonly [K in Op]: OpCases<K> } = {
  input: {
    smooth: null,
    any: fc
      .tuple(fc.constantFrom(...ALL), shapes(0, 4, true))
      .chain(([dtype, shape]) => value(dtype, shape))
      .map((x) => ({ attributes: { name: 'x', dtype: x.dtype, shape: x.shape }, inputs: [] })),
  },
  constant: {
    smooth: null,
    any: fc
      .tuple(fc.constantFrom(...ALL), shapes(0, 4, true))
      .chain(([dtype, shape]) => value(dtype, shape))
      .map(({ dtype, shape, values }) => ({
        attributes: { dtype, shape, data: constantData(dtype, values) },
        inputs: [],
      })),
  },

  neg: unary(),
  abs: unary({ offset: 0.05 }),
  exp: unary(),
  log: unary({ from: 2, to: 40 }),
  sqrt: unary({ from: 2, to: 40 }),
  reciprocal: unary({ offset: 0.15, from: -20, to: 20 }),
  sigmoid: unary({ from: -60, to: 60 }),
  tanh: unary(),
  erf: unary({ from: -40, to: 40 }),
  relu: unary({ offset: 0.05 }),
  identity: moving(0, () => fc.constant({ attributes: null }), true),
  cast: {
    smooth: shapes()
      .chain((shape) => value('float32', shape))
      .map((x) => ({ attributes: { to: 'float32' as const }, inputs: [x] })),
    any: fc
      .tuple(fc.constantFrom(...ALL), fc.constantFrom(...ALL), shapes(0, 4, true))
      .chain(([from, to, shape]) => value(from, shape).map((x) => ({ attributes: { to }, inputs: [x] }))),
  },

  add: binary(NUMBERS),
  sub: binary(NUMBERS),
  mul: binary(NUMBERS),
  div: binary(NUMBERS, {}, { offset: 0.05, from: 2, to: 30 }),
  pow: { smooth: powers, any: fc.oneof(powers, integerPowers) },
  min: binary(NUMBERS, {}, { offset: 0.05 }),
  max: binary(NUMBERS, {}, { offset: 0.05 }),
  equal: comparison(ALL),
  less: comparison(NUMBERS),
  greater: comparison(NUMBERS),
  where: { smooth: choice(['float32'], false), any: choice(NUMBERS, true) },

  matmul: { smooth: products, any: products },
  softmax: {
    smooth: softmaxCases(),
    any: softmaxCases(),
  },

  reduceSum: reduction((shape) => value('float32', shape)),
  reduceMean: reduction((shape) => value('float32', shape)),
  reduceMax: reduction(distinct),
  reduceSumSquare: reduction((shape) => value('float32', shape)),

  reshape: moving(
    0,
    (shape) =>
      fc
        .shuffledSubarray([...shape, 1, 1], { minLength: shape.length + 2 })
        .chain((all) => fc.constantFrom(all, [elements(shape)], elements(shape) === 1 ? [] : all))
        .map((to) => ({ attributes: { shape: to } })),
    true,
  ),
  transpose: moving(
    0,
    (shape) =>
      fc
        .shuffledSubarray(
          shape.map((_, i) => i),
          { minLength: shape.length },
        )
        .map((permutation) => ({ attributes: { permutation } })),
    true,
  ),
  expand: moving(
    0,
    (shape) =>
      shapes(0, 2).map((lead) => ({
        attributes: { shape: [...lead, ...shape.map((n) => (n === 1 ? 3 : n))] },
      })),
    true,
  ),
  concat: { smooth: joined(['float32'], false), any: joined(ALL, true) },
  split: splitCases(),
  slice: moving(1, (shape) =>
    axisOf(shape).chain((axis) =>
      fc
        .tuple(fc.nat(shape[axis]! - 1), fc.nat(shape[axis]! - 1))
        .map(([p, q]) => ({ attributes: { axis, start: Math.min(p, q), end: Math.max(p, q) + 1 } })),
    ),
  ),
  gather: { smooth: lookup(['float32']), any: lookup(ALL) },
  gatherElements: { smooth: elementLookup(['float32']), any: elementLookup(ALL) },
  scatterElements: { smooth: scatter(['float32']), any: scatter(ALL) },
}

function softmaxCases(): fc.Arbitrary<OpCase<'softmax'>> {
  return shapes(1, 4).chain((shape) =>
    fc
      .tuple(axisOf(shape), value('float32', shape))
      .map(([axis, x]) => ({ attributes: { axis }, inputs: [x] })),
  )
}

/** Cuts, even and uneven; the loss may leave some of the pieces unused. */
function splitCases(): OpCases<'split'> {
  const of = (types: readonly DType[]) =>
    fc
      .tuple(fc.constantFrom(...types), shapes(1, 4), fc.array(size(), { minLength: 1, maxLength: 3 }))
      .chain(([dtype, shape, sizes]) =>
        axisOf(shape).chain((axis) => {
          const total = sizes.reduce((sum, n) => sum + n, 0)
          return fc
            .tuple(
              value(dtype, shape.with(axis, total)),
              fc.subarray(
                sizes.map((_, i) => i),
                { minLength: 1 },
              ),
            )
            .map(([x, used]) => ({ attributes: { axis, sizes }, inputs: [x], used }))
        }),
      )
  return { smooth: of(['float32']), any: of(ALL) }
}

function constantData(dtype: DType, values: readonly number[]) {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values)
    case 'int32':
      return Int32Array.from(values)
    case 'int64':
      return BigInt64Array.from(values, BigInt)
    case 'bool':
      return Uint8Array.from(values)
    case 'float16':
    case 'bfloat16':
      return toHalf(Float32Array.from(values), dtype)
  }
}
