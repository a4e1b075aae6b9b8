/** @file A training step on a device: what crosses between host and device is counted, inside the program too. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { add, Graph, matmul, toOnnx } from '../src/graph/index.ts'
import { type Architecture, readArchitecture } from '../src/model/index.ts'
import { createRuntime, legalize } from '../src/runtime/index.ts'
import { trainStep } from '../src/steps/index.ts'
import { allocateState, createTrainer, initializeState, type TrainerOptions } from '../src/train/index.ts'
import { missingRuntime } from './runtimes.ts'

const missing = missingRuntime('webgpu')
if (missing !== undefined) console.warn(`skipped: ${missing}`)

const architecture = (hidden: number): Architecture =>
  readArchitecture({
    model_type: 'qwen3',
    vocab_size: 64,
    hidden_size: hidden,
    head_dim: 16,
    intermediate_size: 2 * hidden,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
  })
const [ROWS, LENGTH] = [2, 12]
const options: TrainerOptions = {
  batchSize: ROWS,
  microBatchSize: ROWS,
  sequenceLength: LENGTH,
  recompute: 'selective',
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
}
const folder = mkdtempSync(join(tmpdir(), 'webgpu-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(missing !== undefined)('a step on webgpu', () => {
  test.each([16, 48])(
    'moves ids, labels and four scalars in and two scalars out, with hidden size %i',
    async (hidden) => {
      const runtime = createRuntime({ name: 'webgpu' })
      const a = architecture(hidden)
      const state = allocateState(runtime, a, 'adamw')
      await initializeState(state, a, 1)
      const trainer = await createTrainer(runtime, a, state, options)
      const ids = Int32Array.from({ length: ROWS * LENGTH }, (_, i) => (7 * i) % 64)
      await trainer.step({ ids, labels: ids }, 1, 1e-3)
      const before = { ...runtime.traffic()! }
      for (let step = 2; step <= 4; step++) await trainer.step({ ids, labels: ids }, step, 1e-3)
      const after = runtime.traffic()!
      expect(after.toDevice - before.toDevice).toBe(3 * 4 * (2 * ROWS * LENGTH + 4))
      expect(after.toHost - before.toHost).toBe(3 * 4 * 2)
      trainer.dispose()
      state.dispose()
      runtime.dispose()
    },
  )

  test('has every node on the device and copies nothing in between, by its own profile', async () => {
    const runtime = createRuntime({ name: 'webgpu', profile: join(folder, 'trace') })
    const { graph } = trainStep(architecture(16), {
      microBatch: ROWS,
      sequenceLength: LENGTH,
      accumulates: false,
      recompute: 'selective',
      optimizer: options.optimizer,
    })
    const program = await runtime.load(toOnnx(legalize(graph, 'webgpu'), 'step'))
    const side = (specs: typeof program.inputs) =>
      new Map([...specs].map(([name, spec]) => [name, runtime.allocate(spec)]))
    await program.bind(side(program.inputs), side(program.outputs)).run()
    const events: { cat: string; args?: { op_name?: string; provider?: string } }[] = JSON.parse(
      readFileSync(program.endProfile()!, 'utf8'),
    )
    const nodes = events.flatMap(({ cat, args }) =>
      cat === 'Node' && args?.provider !== undefined ? [args] : [],
    )
    expect(nodes.length).toBeGreaterThan(500)
    expect([...new Set(nodes.map(({ provider }) => provider))]).toEqual(['WebGpuExecutionProvider'])
    expect(nodes.filter(({ op_name }) => op_name?.startsWith('Memcpy'))).toEqual([])
    runtime.dispose()
  })

  test('runs no product with its second factor transposed, not where a sum follows either', async () => {
    const runtime = createRuntime({ name: 'webgpu', profile: join(folder, 'product') })
    const graph = new Graph()
    const input = (name: string, ...shape: number[]) => graph.input(name, { dtype: 'float32', shape })
    const [x, w, z] = [input('x', 64, 8), input('w', 16, 8), input('z', 64, 16)]
    graph.output('y', add(z, matmul(x, w, { transB: true })))
    const kernels = async (of: Graph) => {
      const program = await runtime.load(toOnnx(of, 'product'))
      const side = (specs: typeof program.inputs) =>
        new Map([...specs].map(([name, spec]) => [name, runtime.allocate(spec)]))
      await program.bind(side(program.inputs), side(program.outputs)).run()
      const events: { cat: string; args?: { op_name?: string } }[] = JSON.parse(
        readFileSync(program.endProfile()!, 'utf8'),
      )
      return events.flatMap(({ cat, args }) => (cat === 'Node' && args?.op_name ? [args.op_name] : []))
    }
    // the sum is taken into the product, the transposition is not
    expect(await kernels(graph)).not.toContain('Transpose')
    expect(await kernels(legalize(graph, 'webgpu'))).toContain('Transpose')
    runtime.dispose()
  })
})
