/** @file `regauge check`: what a run will take, without training. */

import { harmless } from '../../harmless.ts'
import { checkRun, type RunPlan } from '../../train/index.ts'
import { bytes, compact, duration, grouped } from '../../words.ts'
import type { Command } from '../context.ts'
import { placeOptions, runAt } from '../run-at.ts'
import type { Terminal } from '../ui/terminal.ts'

export const run: Command<'check'> = async ({ arguments: [path], options, json, terminal }) => {
  const { run, folder } = await runAt(path, options.set)
  const plan = await checkRun(run, { ...(folder !== undefined && { folder }), ...placeOptions(options) })
  if (json) terminal.data(JSON.stringify(planJson(plan), null, 2))
  else {
    for (const line of planLines(plan, terminal)) terminal.data(line)
    const { colors, glyphs } = terminal
    for (const note of plan.notes) terminal.data(`${colors.yellow(glyphs.warn)} ${harmless(note)}`)
    terminal.data(`${terminal.colors.green(terminal.glyphs.good)} nothing stands in the way of this run`)
  }
  return 0
}

/** The plan for scripts. */
export function planJson(plan: RunPlan): Record<string, unknown> {
  const { run, architecture, estimate, ...rest } = plan
  const { config: _, windows: __, expertLayers: ___, ...model } = architecture
  return { name: run.name, model, ...estimate, ...rest }
}

/** What a run needs, and of what. */
export function memoryText({
  estimate,
  memoryOn,
  availableBytes,
}: Pick<RunPlan, 'memoryOn' | 'availableBytes'> & {
  readonly estimate: Pick<RunPlan['estimate'], 'memoryBytes'>
}): string {
  const needed = `about ${bytes(estimate.memoryBytes)} of the ${memoryOn}'s memory`
  if (availableBytes === null) return `${needed}, whose size is not known`
  return `${needed}, ${memoryOn === 'host' ? `${bytes(availableBytes)} of it free` : `which has ${bytes(availableBytes)}`}`
}

/** The plan for people, a term a line. */
export function planLines(plan: RunPlan, terminal: Pick<Terminal, 'colors'>): string[] {
  const { colors } = terminal
  const { architecture: a, estimate, run, steps, tokens, flops, seconds } = plan
  const { memory } = estimate
  const row = (name: string, value: string) => `${colors.dim(name.padEnd(12))}${value}`
  const terms = Object.entries(memory).filter(([, size]) => size > 0)
  const accumulated = run.train.batchSize / run.train.microBatchSize
  const batch = `${run.train.batchSize} x ${run.data.sequenceLength} tokens`
  const notYet = 'known once the text is tokenized'
  return [
    row('run', `${colors.bold(run.name)} in ${plan.folder}`),
    row('model', `${a.family}, ${a.layers} layers of ${a.hiddenSize}, ${grouped(a.vocabularySize)} tokens`),
    row('runs on', plan.place),
    row('parameters', compact(estimate.parameters)),
    row('batch', accumulated > 1 ? `${batch}, in ${accumulated} micro-batches` : batch),
    row(
      'steps',
      steps === undefined
        ? notYet
        : `${grouped(steps)}${plan.startStep > 0 ? `, ${grouped(plan.startStep)} of them done` : ''}`,
    ),
    row('tokens', tokens === undefined ? notYet : compact(tokens)),
    row(
      'FLOPs',
      flops === undefined
        ? `${compact(estimate.flopsPerStep)} a step`
        : `${compact(flops)}, ${compact(estimate.flopsPerStep)} a step`,
    ),
    row('memory', memoryText(plan)),
    ...terms.map(([name, size]) => row('', `${name.padEnd(12)}${bytes(size)}`)),
    row('checkpoint', bytes(estimate.checkpointBytes)),
    row('speed limit', `${compact(plan.matmulFlopsPerSecond)}FLOP/s in matrix products, measured now`),
    ...(seconds === undefined
      ? []
      : [
          row('time', `about ${duration(seconds.expected)} in steps; ${duration(seconds.best)} at the limit`),
        ]),
  ]
}
