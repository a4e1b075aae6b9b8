import { expect, test } from 'vitest'
import { loadChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { RegaugeError } from '../errors.ts'
import { type Experts, readDecoder } from '../model/index.ts'
import {
  explainLayout,
  fewestChips,
  type PlanRequest,
  type PoolsRequest,
  planLayouts,
  planPools,
} from '../plan/index.ts'
import { machineOf } from './machine.ts'
import { createSimulator } from './predict.ts'
import { type Layout, type Machine, ONE_CHIP, type Workload } from './types.ts'

const chips = await loadChips(undefined)
const chip = chips.find(({ id }) => id === 'a100-80gb-sxm')!
const decoder = readDecoder({
  model_type: 'llama',
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  vocab_size: 1000,
})
const workload: Workload = { decoder, sequenceLength: 512, globalBatch: 8, precision: 'bf16' }
const machine = machineOf(chip, 8, 'bf16')
const engine = ENGINES['megatron-lm']

/** Messages of the one error that is thrown. */
function told(act: () => unknown): string[] {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(RegaugeError)
    expect((error as RegaugeError).kind).toBe('usage')
    return (error as RegaugeError).issues.map(({ message }) => message)
  }
  return []
}

/** What is no number, or none that can be. */
const NONE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, 0, 1e300]
const entrances = (workload: Workload, machine: Machine): readonly (() => unknown)[] => [
  () => createSimulator(workload, machine, engine.behaviour),
  () => planLayouts({ workload, machine, engine }),
  () =>
    planPools({
      workload,
      pools: [{ name: 'a', machine, engine }],
      link: { bytesPerSecond: 1e9, latency: 0 },
    }),
]

test.each([...NONE, 1.5])('%s is no count of a workload or a machine', (value) => {
  for (const name of ['sequenceLength', 'globalBatch'] as const)
    for (const act of entrances({ ...workload, [name]: value }, machine))
      expect(told(act).join()).toMatch(/^the (sequence length|global batch) is /)
  for (const name of ['layers', 'hiddenSize'] as const)
    for (const act of entrances({ ...workload, decoder: { ...decoder, [name]: value } }, machine))
      expect(told(act).join()).toMatch(/(layers|hiddenSize|decoder\.(expertLayers|windows)) is /)
  for (const act of entrances(workload, { ...machine, count: value }))
    expect(told(act).join()).toMatch(/the number of chips is /)
  expect(told(() => machineOf(chip, value, 'bf16'))[0]).toMatch(/^the number of chips is /)
  expect(told(() => machineOf(chip, 8, 'bf16', { domainSize: value }))[0]).toMatch(/join is /)
})

test.each(NONE.filter((value) => value !== 1e300))('%s is no rate of a machine', (value) => {
  for (const name of ['flops', 'halfFlops', 'memoryBytes', 'memoryBytesPerSecond', 'effectiveWatts'] as const)
    for (const act of entrances(workload, { ...machine, [name]: value }))
      expect(told(act).join()).toContain(`machine.${name} is ${value}`)
  const links = machine.links.map((link) => ({ ...link, bytesPerSecond: value }))
  for (const act of entrances(workload, { ...machine, links }))
    expect(told(act).join()).toContain(`machine.links[0].bytesPerSecond is ${value}`)
  expect(told(() => machineOf(chip, 64, 'bf16', { networkBytesPerSecond: value }))).toEqual([
    `the network bandwidth of ${chip.id} is ${value}`,
  ])
  const odd = { ...chip, memory: { ...chip.memory, bytes: value } }
  expect(told(() => machineOf(odd, 8, 'bf16'))).toEqual([`the memory of ${chip.id} is ${value}`])
  const request: PlanRequest = { workload, machine, engine, tokens: 1e9 }
  for (const name of ['tokens', 'pricePerChipHour', 'maximumSeconds'] as const)
    expect(told(() => planLayouts({ ...request, [name]: value }))).toHaveLength(1)
  expect(told(() => fewestChips(request, value, [8]))).toEqual([`the number of days is ${value}`])
  const joined: PoolsRequest = {
    workload,
    pools: [{ name: 'a', machine, engine }],
    link: { bytesPerSecond: value, latency: 0 },
    tokens: value,
  }
  expect(told(() => planPools(joined))).toHaveLength(2)
})

test.each([
  [{ groups: 0 }, 'decoder.experts.groups is 0'],
  [{ groups: 3 }, 'decoder.experts.groups is 3'],
  [{ activeGroups: 5 }, 'decoder.experts.activeGroups is 5'],
  [{ activeGroups: undefined as never }, 'decoder.experts.activeGroups is undefined'],
])('%j are no groups of experts', (change, message) => {
  const experts: Experts = {
    count: 8,
    active: 2,
    groups: 4,
    activeGroups: 2,
    intermediateSize: 64,
    sharedIntermediateSize: 0,
    sharedGate: false,
  }
  const of = (own: Experts) => ({ ...workload, decoder: { ...decoder, experts: own } })
  expect(() => createSimulator(of(experts), machine, engine.behaviour)).not.toThrow()
  for (const act of entrances(of({ ...experts, ...change }), machine)) expect(told(act)).toEqual([message])
})

test.each([...NONE, 1.5])('%s is no degree of a layout', (value) => {
  const simulator = createSimulator(workload, { ...machine, count: 1 }, engine.behaviour)
  for (const name of Object.keys(ONE_CHIP) as (keyof Layout)[]) {
    if (typeof ONE_CHIP[name] === 'boolean') continue
    // ZeRO has a stage 0
    if (name === 'zeroStage' && value === 0) continue
    const layout = { ...ONE_CHIP, [name]: value }
    expect(told(() => simulator.predict(layout))[0]).toContain(`${name} is ${value}`)
    const { prediction, lines } = explainLayout({ workload, machine, engine, reasons: false }, layout)
    expect(prediction).toBeUndefined()
    expect(lines).not.toEqual([])
  }
  for (const stageLayers of [[value, 2], [value], [value, value], []])
    expect(told(() => simulator.predict({ ...ONE_CHIP, pipelineParallel: 2, stageLayers }))).not.toEqual([])
})

test('all that is wrong is one error', () => {
  const wrong = { ...workload, sequenceLength: Number.NaN, globalBatch: 0.5, precision: 'int8' as never }
  expect(told(() => createSimulator(wrong, { ...machine, count: 0, links: [] }, engine.behaviour))).toEqual([
    'the sequence length is NaN',
    'the global batch is 0.5',
    'the precision is int8',
    'the number of chips is 0',
    'the number of machine.links is 0',
  ])
  const deep = {
    ...decoder,
    layers: 513,
    expertLayers: Array(513).fill(false),
    windows: Array(513).fill(undefined),
  }
  expect(told(() => planLayouts({ workload: { ...workload, decoder: deep }, machine, engine }))).toEqual([
    'the number of layers to plan for is 513',
  ])
})
