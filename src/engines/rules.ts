/** @file Rules of a layout under any engine, so that what is planned can be launched; an engine's own are in its row. */
import {
  countsProblem,
  DEGREES,
  type Layout,
  SCHEDULES,
  type ScheduleRule,
  type Workload,
} from '../simulate/index.ts'
import { chunksDivide } from './abilities.ts'
import type { Engine, Rule, RuleCase } from './types.ts'

/** Parameters of a layout that count something. */
const COUNTS = [...DEGREES, 'shardGroup', 'recomputeLayers'] as const

/** The rule of a layout's schedule; undefined for what is none, which no engine has. */
function ruleOf({ schedule }: Layout): ScheduleRule | undefined {
  return SCHEDULES[schedule]
}

/** Rules of numbers: against each other, the chips and the batch. */
const NUMBERS: readonly Rule[] = [
  ({ layout: l }) => {
    const wrong = COUNTS.filter(
      (name) => l[name] !== undefined && !(Number.isInteger(l[name]) && l[name]! > 0),
    )
    return wrong.length === 0
      ? undefined
      : `${wrong.map((name) => `${name} ${l[name]}`).join(', ')}: integers from 1 on are needed`
  },
  ({ layout: l, chips }) => {
    const product = l.tensorParallel * l.contextParallel * l.pipelineParallel * l.dataParallel
    return product === chips
      ? undefined
      : `tensor ${l.tensorParallel} x context ${l.contextParallel} x pipeline ${l.pipelineParallel} x data ${l.dataParallel} is ${product} chips, not ${chips}`
  },
  ({ layout: l, workload: w }) =>
    w.globalBatch % (l.microBatch * l.dataParallel) === 0
      ? undefined
      : `a batch of ${w.globalBatch} sequences does not divide into micro-batches of ${l.microBatch} on ${l.dataParallel} data-parallel replicas`,
]

/** Rules of parts of a layout that do not go together, and of parts that an engine's abilities leave out. */
const PARTS: readonly Rule[] = [
  ({ layout: { tensorParallel: t, expertTensorParallel: e }, engine }) =>
    engine.abilities.expertTensorWhole && e !== 1 && e !== t
      ? `${engine.name} splits experts over all tensor-parallel chips or none: expert-tensor parallelism 1 or ${t}, not ${e}`
      : undefined,
  ({ layout: l }) =>
    l.sequenceParallel && l.tensorParallel === 1
      ? 'sequence parallelism needs tensor parallelism above 1'
      : undefined,
  ({ layout: l, decoder: d, engine }) =>
    engine.abilities.expertsNeedSequence && d.experts !== null && l.tensorParallel > 1 && !l.sequenceParallel
      ? `${engine.name} needs sequence parallelism where experts meet tensor parallelism ${l.tensorParallel}`
      : undefined,
  ({ layout: l, decoder: d, engine }) =>
    l.pipelineParallel * l.virtualPipeline <= d.layers ||
    (l.virtualPipeline > 1 &&
      chunksDivide(d.layers, l.pipelineParallel * l.virtualPipeline, engine.abilities))
      ? undefined
      : `${d.layers} layers are too few for ${l.pipelineParallel} stages of ${l.virtualPipeline} chunks`,
  ({ layout: l, decoder: d }) => {
    if (l.stageLayers === undefined) return undefined
    const total = l.stageLayers.reduce((sum, n) => sum + n, 0)
    if (l.stageLayers.length !== l.pipelineParallel)
      return `${l.stageLayers.length} stages are described, but pipeline parallelism is ${l.pipelineParallel}`
    if (total !== d.layers) return `stages of ${l.stageLayers.join('+')} layers are ${total}, not ${d.layers}`
    return l.stageLayers.every((n) => Number.isInteger(n) && n > 0) ? undefined : 'every stage needs a layer'
  },
  ({ layout: l }) =>
    l.stageLayers !== undefined && ruleOf(l)?.needs.givenStages === false
      ? `stages of given layers do not go with the schedule ${l.schedule}`
      : undefined,
  ({ layout: l, decoder: d, engine }) =>
    engine.abilities.unevenStages || (l.stageLayers === undefined && d.layers % l.pipelineParallel === 0)
      ? undefined
      : `${engine.name} needs stages that are alike, ${d.layers} layers do not divide into ${l.pipelineParallel}`,
  ({ layout: l, decoder: d, engine }) =>
    l.virtualPipeline > 1 && !chunksDivide(d.layers, l.pipelineParallel * l.virtualPipeline, engine.abilities)
      ? `${d.layers} layers do not divide into ${l.pipelineParallel} stages of ${l.virtualPipeline} chunks`
      : undefined,
  ({ layout: l }) =>
    (ruleOf(l)?.chunks === 'virtual') === l.virtualPipeline > 1
      ? undefined
      : `${l.virtualPipeline} chunk${l.virtualPipeline === 1 ? '' : 's'} a stage do not go with the schedule ${l.schedule}`,
  ({ layout: l, workload: w, decoder: d }) => {
    const needs = ruleOf(l)?.needs
    const { pipelineParallel: p } = l
    if (needs === undefined) return undefined
    if (p < needs.leastStages) return `the schedule ${l.schedule} needs pipeline parallelism above 1`
    if (d.layers < needs.layersPerStage * p)
      return `the schedule ${l.schedule} needs ${needs.layersPerStage} x ${p} layers, there are ${d.layers}`
    if (d.tiedEmbeddings && !needs.tiedEmbeddings) return `the schedule ${l.schedule} needs untied embeddings`
    if (l.contextParallel > 1 && !needs.contextParallel)
      return `the schedule ${l.schedule} excludes context parallelism`
    const problem = countsProblem(l.schedule, p, w.globalBatch / (l.microBatch * l.dataParallel))
    return problem === undefined ? undefined : `the schedule ${problem}`
  },
  ({ layout: l, engine }) => {
    const { abilities: a } = engine
    const lacks = [
      !a.tensorParallel && l.tensorParallel > 1 && 'tensor parallelism',
      !a.pipelineParallel && l.pipelineParallel > 1 && 'pipeline parallelism',
      l.contextParallel > 1 &&
        !a.contextMethods.includes(l.contextMethod) &&
        `${l.contextMethod} context parallelism`,
      !a.expertParallel && l.expertParallel > 1 && 'expert parallelism',
      !a.expertTensorParallel && l.expertTensorParallel > 1 && 'expert-tensor parallelism',
      !a.schedules.includes(l.schedule) && `schedule ${l.schedule}`,
      !a.zeroStages.includes(l.zeroStage) && `ZeRO stage ${l.zeroStage}`,
      l.recompute === 'selective' && !a.selectiveRecompute && 'selective recomputation',
      l.recomputeLayers !== undefined && !a.recomputeLayers && 'recomputation of some layers',
      l.offloadOptimizer && a.offloadFrom === undefined && "an optimizer's state with the host",
    ].filter((lack) => lack !== false)
    return lacks.length === 0 ? undefined : `${engine.name} has no ${lacks.join(', no ')}`
  },
  ({ layout: l, engine }) =>
    l.offloadOptimizer &&
    engine.abilities.offloadFrom !== undefined &&
    l.zeroStage < engine.abilities.offloadFrom
      ? `${engine.name} keeps the optimizer's state with the host from ZeRO stage ${engine.abilities.offloadFrom} on, not at ${l.zeroStage}`
      : undefined,
  ({ layout: l, decoder: d }) => {
    if (l.recomputeLayers === undefined) return undefined
    if (l.recompute !== 'full')
      return `${l.recomputeLayers} layers to recompute do not go with recompute ${l.recompute}`
    const most = Math.max(...(l.stageLayers ?? [Math.ceil(d.layers / l.pipelineParallel)]))
    if (l.recomputeLayers > most)
      return `${l.recomputeLayers} layers to recompute are more than the ${most} of the largest stage; without a number, all are`
    return l.recomputeLayers % l.virtualPipeline === 0
      ? undefined
      : `${l.recomputeLayers} layers to recompute do not divide into ${l.virtualPipeline} chunks`
  },
  ({ layout: l }) =>
    l.zeroStage >= 2 && l.pipelineParallel > 1
      ? `ZeRO stage ${l.zeroStage} with pipeline parallelism gathers weights or scatters gradients for every micro-batch, and no engine here runs it`
      : undefined,
  ({ layout: l }) => {
    if (l.shardGroup === undefined) return undefined
    const replicas = l.dataParallel * l.contextParallel
    return replicas % l.shardGroup === 0
      ? undefined
      : `${replicas} replicas do not divide into groups of ${l.shardGroup} that share`
  },
]

/** Everything that keeps an engine from running a layout; nothing where it can be launched. */
export function violations(layout: Layout, workload: Workload, chips: number, engine: Engine): string[] {
  const c: RuleCase = { layout, workload, chips, engine, decoder: workload.decoder }
  return [...NUMBERS, ...engine.rules, ...PARTS].flatMap((rule) => rule(c) ?? [])
}
