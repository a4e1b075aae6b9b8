/** @file `regauge train`: trains a run, or goes on with one, and shows it. */

import { createSampler, shownPath, type TrainResult, train } from '../../train/index.ts'
import { writeReport } from '../../watch/index.ts'
import type { Command } from '../context.ts'
import { placeOptions, runAt } from '../run-at.ts'
import { openTrainingView } from '../ui/training.ts'
import { planLines } from './check.ts'

export const run: Command<'train'> = async ({ arguments: [path], options, json, terminal }) => {
  const { run, folder } = await runAt(path, options.set)
  const view = openTrainingView(terminal, { name: run.name, everySteps: run.log.everySteps, json })
  const stopping = listenForStop((message) => terminal.talk(message))
  let end: TrainResult
  try {
    end = await train(run, {
      ...(folder !== undefined && { folder }),
      ...placeOptions(options),
      onEvent: (event) => view.event(event),
      onPlan: (plan) => {
        if (!json) for (const line of planLines(plan, { colors: terminal.talkColors })) terminal.talk(line)
      },
      generateSamples: createSampler(),
      stop: stopping.stop,
      abort: stopping.abort,
    })
  } finally {
    view.close()
    stopping.dispose()
  }
  const finished = end.state === 'finished'
  if (!json && finished) terminal.talk(`model: ${end.checkpoint}`)
  else if (!json) {
    // its folder, not the run file: what was set on the command line is kept there
    const on = `regauge train ${shownPath(end.folder)}`
    terminal.talk(`stopped at step ${end.step} of ${end.steps}; to go on: ${on}`)
  }
  // last: a report that cannot be written takes nothing else with it
  const report = await writeReport(end.folder)
  if (!json) terminal.talk(`report: ${report}`)
  return finished ? 0 : INTERRUPTED
}

/** Exit code of a run that was stopped, checkpoint saved. */
const INTERRUPTED = 130

/** Milliseconds that a run told to stop now has for it. */
const PATIENCE = 5000

/** Ctrl-C once and SIGTERM: save and stop. Ctrl-C twice: stop now. */
function listenForStop(talk: (message: string) => void) {
  const stop = new AbortController()
  const abort = new AbortController()
  const onInterrupt = (): void => {
    if (stop.signal.aborted) {
      talk('stopping now; steps after the last checkpoint are lost')
      abort.abort()
      // what cannot be asked to stop, such as a read from a disk that is gone, is left behind
      setTimeout(() => process.exit(INTERRUPTED), PATIENCE).unref()
      return
    }
    talk('saving, then stopping; Ctrl-C again stops now without saving')
    stop.abort()
  }
  const onTerminate = (): void => {
    talk('saving, then stopping')
    stop.abort()
  }
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  return {
    stop: stop.signal,
    abort: abort.signal,
    dispose() {
      process.off('SIGINT', onInterrupt)
      process.off('SIGTERM', onTerminate)
    },
  }
}
