/** @file What holds of every provider whose hardware a stand-in takes the place of: each one's test runs it all. */
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  createRuntime,
  type ProviderName,
  type Runtime,
  type RuntimeOptions,
} from '../../src/runtime/index.ts'
import { model, RUNTIME_CASES, tensorOf, valuesOf } from '../runtime-cases.ts'
import { type Call, parseCalls, problemsOf } from './calls.ts'
import { buildStandin, missingCompiler, type Standin } from './standin.ts'

const GOLDEN = join(import.meta.dirname, '../golden/runtime')

export interface StandinContext {
  readonly standin: Standin
  /** Makes a runtime over the stand-in; it goes away after the test. */
  make(options?: Partial<RuntimeOptions>): Runtime
}

/** How a provider's options are documented to be handled, as names of functions. */
interface OptionCalls {
  readonly create: string
  readonly update: string
  readonly append: string
  readonly release: string
}

/** Runs the shared cases on the stand-in, holds the calls against what is documented, and adds `tests`. */
export function describeStandin(
  name: ProviderName,
  options: OptionCalls,
  prepare: (standin: Standin) => void,
  tests: (context: StandinContext) => void,
): void {
  const missing = missingCompiler()
  if (missing !== undefined) console.warn(`skipped: ${missing}`)

  describe.skipIf(missing !== undefined)(`${name}, by a stand-in`, () => {
    const standin = missing === undefined ? buildStandin() : ({} as Standin)
    const runtimes: Runtime[] = []
    const make = (given: Partial<RuntimeOptions> = {}): Runtime => {
      const runtime = createRuntime({ name, library: standin.library, ...given })
      runtimes.push(runtime)
      return runtime
    }
    let life: string
    let calls: Call[]
    beforeAll(async () => {
      prepare(standin)
      life = await lifeOf(make, standin)
      calls = parseCalls(life.split('\n').filter((line) => line !== '' && !line.startsWith('#')))
    })
    afterEach(() => {
      for (const runtime of runtimes.splice(0)) runtime.dispose()
      standin.hostOperation('')
      standin.precisionOption('precision_mode')
      expect(problemsOf(standin.take())).toEqual([])
    })

    for (const [title, check] of Object.entries(RUNTIME_CASES)) test(title, () => check(make()))

    test('makes the calls that were read and approved', async () => {
      await expect(life).toMatchFileSnapshot(join(GOLDEN, `${name}.txt`))
    })

    test('options of the provider are created, filled, appended and released, before those of the session', () => {
      // the order of the C samples in "CANN Execution Provider" and "CUDA Execution Provider" (onnxruntime.ai)
      const { create, update, append, release } = options
      const order = ['CreateSessionOptions', create, update, append, release, 'ReleaseSessionOptions']
      const made = calls.filter((call) => order.includes(call.name))
      expect(made.length).toBeGreaterThan(order.length)
      expect(made.map((call) => call.name)).toEqual(made.map((_, i) => order[i % order.length]))
    })

    test('tensors lie where the session takes its inputs', () => {
      // SessionGetMemoryInfoForInputs in onnxruntime_c_api.h, since 1.23: no device is named, so none can be wrong
      const of = (function_: string) => calls.filter((call) => call.name === function_)
      const [info, ...more] = of('SessionGetMemoryInfoForInputs')
      const [allocator, ...others] = of('CreateAllocator')
      expect([...more, ...others, ...of('CreateMemoryInfo'), ...of('CreateMemoryInfo_V2')]).toEqual([])
      expect(allocator!.args).toEqual([info!.args[0], info!.result])
      expect(of('CreateTensorAsOrtValue').map(({ args }) => args[0])).toEqual(
        Array(2).fill(allocator!.result),
      )
    })

    test('shapes are static', async () => {
      // "CANN Execution Provider": a program is compiled for the shapes of its inputs; here each model states its own
      const free = model([['Identity', ['a'], ['c']]], [['a', 'float32', ['n']]], [['c', 'float32', ['n']]])
      await expect(make().load(free)).rejects.toThrow('has a shape that is not fixed')
    })

    test('the device is the one of the index', () => {
      make({ index: 1 })
      expect(standin.take().filter((line) => line.startsWith(options.update))).toEqual([
        expect.stringContaining('device_id=1,'),
      ])
      expect(() => make({ index: 7 })).toThrow(
        expect.objectContaining({
          issues: [
            {
              code: 'RUNTIME_PROVIDER_UNUSABLE',
              message: expect.stringContaining('Invalid device ID: 7, must be between 0'),
              file: standin.library,
              hint: `name another device, as in \`${name}:0\``,
            },
          ],
        }),
      )
    })

    test('a node that would run on the host is named and refused, unless allowed', async () => {
      standin.hostOperation('Sum')
      const provider = `${name.toUpperCase()}ExecutionProvider`
      await expect(make().load(SUM)).rejects.toMatchObject({
        kind: 'environment',
        issues: [
          {
            code: 'RUNTIME_NODE_ON_HOST',
            message: `Sum (without a name) has no kernel in ${provider} and would run on the host`,
          },
          {
            code: 'RUNTIME_NODES_ON_HOST',
            message: `1 of the program's nodes would leave ${name}`,
            hint: expect.stringContaining('--allow-host'),
          },
        ],
      })
      const { binding, c } = await bindSum(make({ allowHost: true }))
      await binding.run()
      expect(await valuesOf(c)).toEqual([4, 8, 12, 16])
    })

    test('a provider that takes no node at all is found before anything is allocated', () => {
      standin.hostOperation('Identity')
      expect(() => make()).toThrow(`Identity (copy) has no kernel in ${name.toUpperCase()}ExecutionProvider`)
    })

    test('writes and reads wait for a run, and disposal for both', async () => {
      const runtime = make()
      const { program, binding, a, c } = await bindSum(runtime)
      const written = a.write(new Uint8Array(Float32Array.of(1, 1, 1, 1).buffer))
      const all = [binding.run(), c.read()] as const
      await written
      await all[0]
      expect([...new Float32Array((await all[1]).buffer)]).toEqual([4, 4, 4, 4])
      const late = c.read()
      a.dispose()
      program.dispose()
      runtime.dispose()
      expect((await late).byteLength).toBe(16)
      c.dispose()
    })

    tests({ standin, make })
  })
}

/** A program of two nodes: c = (a + b) + (a + b). */
const SUM = model(
  [
    ['Add', ['a', 'b'], ['d']],
    ['Sum', ['d', 'd'], ['c']],
  ],
  [
    ['a', 'float32', [4]],
    ['b', 'float32', [4]],
  ],
  [['c', 'float32', [4]]],
)

async function bindSum(runtime: Runtime) {
  const program = await runtime.load(SUM)
  const a = await tensorOf(runtime, 'float32', [4], [1, 2, 3, 4])
  const c = runtime.allocate({ dtype: 'float32', shape: [4] })
  const inputs = new Map([
    ['a', a],
    ['b', a],
  ])
  return { program, a, c, binding: program.bind(inputs, new Map([['c', c]])) }
}

/** The calls of a runtime's life, under a heading for each part of it. */
async function lifeOf(make: StandinContext['make'], standin: Standin): Promise<string> {
  const parts: string[] = []
  const part = (title: string) => parts.push(`# ${title}`, ...standin.take(), '')
  standin.take()
  const runtime = make()
  part('a runtime')
  const [a, c] = [0, 0].map(() => runtime.allocate({ dtype: 'float32', shape: [4] }))
  part('two tensors, zeros')
  await a!.write(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer))
  part('a write')
  const program = await runtime.load(SUM)
  part('a program')
  const inputs = new Map([
    ['a', a!],
    ['b', a!],
  ])
  const binding = program.bind(inputs, new Map([['c', c!]]))
  part('a binding')
  await binding.run()
  part('a run')
  await c!.read()
  part('a read')
  a!.dispose()
  runtime.dispose()
  part('disposal of a tensor, and of the runtime')
  return parts.join('\n')
}
