/** @file Coverage of every program of every family on every runtime, and that rewritten graphs mean the same. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { distance, runGraph } from '../../test/run-graph.ts'
import { missingRuntime } from '../../test/runtimes.ts'
import {
  add,
  cast,
  constant,
  evaluate,
  expand,
  type Graph,
  lower,
  matmul,
  mul,
  Graph as NewGraph,
  reduceSumSquare,
  reshape,
  scalar,
  scatterElements,
  slice,
  transpose,
} from '../graph/index.ts'
import { type Architecture, readArchitecture } from '../model/index.ts'
import { accumulateStep, decodeStep, evaluateStep, type ProductPrecision, trainStep } from '../steps/index.ts'
import {
  coverage,
  createRuntime,
  legalize,
  PROVIDER_NAMES,
  type ProviderName,
  type Runtime,
} from './index.ts'

const MODELS = resolve(import.meta.dirname, '../../test/golden/models')
const architectures = new Map<string, Architecture>(
  readdirSync(MODELS).map((name) => {
    const file = join(MODELS, name, 'config.json')
    return [name, readArchitecture(JSON.parse(readFileSync(file, 'utf8')), file)]
  }),
)

const optimizer = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 } as const
const shape = { microBatch: 2, sequenceLength: 8 }

function programs(a: Architecture): { name: string; precision: ProductPrecision; graph: Graph }[] {
  const train = (precision: ProductPrecision, accumulates: boolean) => ({
    name: accumulates ? 'train, last of several micro-batches' : 'train',
    precision,
    graph: trainStep(a, {
      ...shape,
      accumulates,
      recompute: accumulates ? 'layer' : 'selective',
      optimizer,
      precision,
    }).graph,
  })
  const float32 = {
    accumulate: accumulateStep(a, { ...shape, recompute: 'none' }),
    evaluate: evaluateStep(a, shape),
    prefill: decodeStep(a, { tokens: 4, cacheLength: 16 }),
    decode: decodeStep(a, { tokens: 1, cacheLength: 16 }),
  }
  return [
    train('float32', false),
    train('float32', true),
    train('float16', false),
    train('bfloat16', false),
    ...Object.entries(float32).map(([name, { graph }]) => ({ name, precision: 'float32' as const, graph })),
  ]
}

/** Types that a runtime computes in. */
const PRECISIONS: Record<ProviderName, readonly ProductPrecision[]> = {
  cpu: ['float32', 'float16'],
  webgpu: ['float32', 'float16'],
  cuda: ['float32', 'float16', 'bfloat16'],
  cann: ['float32', 'float16', 'bfloat16'],
}

test.each([...architectures])('every node of every program of %s has a kernel on every runtime', (_, a) => {
  for (const { name, precision, graph } of programs(a)) {
    for (const runtime of PROVIDER_NAMES) {
      if (!PRECISIONS[runtime].includes(precision)) continue
      const { unsupported, nodes } = coverage(legalize(graph, runtime), runtime)
      expect({ name, precision, runtime, unsupported }).toEqual({ name, precision, runtime, unsupported: [] })
      expect(nodes).toBeGreaterThan(50)
    }
  }
})

test('a type without kernels is named, node by node', () => {
  const [a] = architectures.values()
  const { unsupported } = coverage(
    trainStep(a!, { ...shape, accumulates: false, recompute: 'none', optimizer, precision: 'bfloat16' })
      .graph,
    'cpu',
  )
  expect(unsupported.length).toBeGreaterThan(20)
  expect(unsupported[0]).toMatchObject({ dtype: 'bfloat16', reason: 'no kernel for bfloat16' })
  expect(unsupported[0]!.name).toMatch(/^layers\.0\.attention\./)
})

/** What rules rewrite, in one graph. */
function rewritten(half: boolean): Graph {
  const graph = new NewGraph()
  const ids = graph.input('ids', { dtype: 'int32', shape: [6] })
  const data = graph.input('data', { dtype: 'float32', shape: [3, 5] })
  const at = graph.input('at', { dtype: 'int32', shape: [3, 1] })
  const updates = graph.input('updates', { dtype: 'float32', shape: [3, 1] })
  const type = half ? 'float16' : 'float32'
  graph.output('part', slice(ids, 0, 2, 5))
  graph.output('sum', cast(scatterElements(cast(data, type), at, cast(updates, type), 1, 'add'), 'float32'))
  const flat = reshape(data, [15])
  const row = (at: number) => reshape(slice(flat, 0, at, at + 3), [1, 3])
  const column = constant(
    graph,
    'float32',
    [64, 1],
    Float32Array.from({ length: 64 }, (_, i) => i),
  )
  const [factor, other] = [mul(row(4), column), reshape(slice(flat, 0, 3, 15), [4, 3])]
  graph.output('product', matmul(factor, other, { transB: true }))
  const turned = matmul(transpose(factor, [1, 0]), other, { transA: true, transB: true })
  graph.output('both', add(turned, slice(factor, 1, 0, 1)))
  graph.output('squares', reduceSumSquare(factor, [0, 1]))
  graph.output('wide', add(reshape(data, [15, 1]), expand(scalar(graph, 0.5), [15, 500])))
  return graph
}

const values = new Map<string, number[]>([
  ['ids', [5, -3, 2_000_000_000, 7, -100, 1]],
  ['data', Array.from({ length: 15 }, (_, i) => i / 4)],
  ['at', [4, 0, 2]],
  ['updates', [0.5, -2, 8]],
])

describe('rewritten graphs', () => {
  const runtimes = new Map<ProviderName, Runtime>()
  afterAll(() => {
    for (const runtime of runtimes.values()) runtime.dispose()
  })
  test.each(PROVIDER_NAMES.flatMap((name) => [false, true].map((half) => [name, half] as const)))(
    'mean the same on %s, half precision %s',
    async (name, half) => {
      const graph = rewritten(half)
      const legal = legalize(graph, name)
      expect(evaluate(legal, values)).toEqual(evaluate(graph, values))
      expect(coverage(legal, name).unsupported).toEqual([])
      expect(legalize(legal, name)).toBe(legal)
      // what is rewritten for a device that is not here is run by another runtime
      const runner: ProviderName =
        name === 'webgpu' && !half && missingRuntime('webgpu') === undefined ? 'webgpu' : 'cpu'
      if (half && runner === 'cpu' && name !== 'cpu' && name !== 'webgpu') return
      const runtime = runtimes.get(runner) ?? createRuntime({ name: runner })
      runtimes.set(runner, runtime)
      const actual = await runGraph(runtime, legal, values)
      for (const [output, expected] of evaluate(graph, values))
        expect(distance(actual.get(output)!, expected)).toBe(0)
    },
  )

  test('have no large product on webgpu with its second factor transposed', () => {
    const transposed = (of: Graph) =>
      lower(of).nodes.filter(
        ({ attributes }) => attributes?.transB?.kind === 'int' && attributes.transB.value,
      ).length
    const graph = rewritten(false)
    expect(transposed(graph)).toBe(2)
    expect(transposed(legalize(graph, 'webgpu'))).toBe(0)
    // a few rows, as where text is made token by token, would not gain what it costs
    const few = new NewGraph()
    const [x, w] = [1, 16].map((rows) => few.input(`${rows}`, { dtype: 'float32', shape: [rows, 8] }))
    few.output('y', matmul(x!, w!, { transB: true }))
    expect(legalize(few, 'webgpu')).toBe(few)
  })

  test('is the graph itself where there is nothing to rewrite', () => {
    const graph = rewritten(false)
    expect(legalize(graph, 'cuda')).toBe(graph)
    expect(legalize(graph, 'cpu')).toBe(graph)
    expect(coverage(graph, 'webgpu').unsupported.map(({ opType }) => opType)).toEqual(['Slice'])
    expect(coverage(graph, 'cann').unsupported.map(({ opType }) => opType)).toEqual(
      expect.arrayContaining(['ScatterElements', 'Expand']),
    )
  })
})
