/** @file Where a run's events go: the event log, TensorBoard, and whoever watches. */
import { createEventWriter } from '../../formats/index.ts'
import { type EventLog, openEventLog, type RunEvent } from './events.ts'

export interface Metrics {
  emit(event: RunEvent): void
  /** Writes what was held back to the log, for a new run that fails before it starts. */
  flush(): void
  close(): void
}

/**
 * Opens the event log for appending. What happens before the `start` event is written to the log together with it:
 * a try to resume that is refused leaves no trace in the log of the run. The TensorBoard file begins with the `start`
 * event, so that TensorBoard drops what a killed process wrote after the step that this one goes on from.
 */
export function openMetrics(
  paths: { readonly log: string; readonly tensorboard: string },
  onEvent: (event: RunEvent) => void,
): Metrics {
  const log: EventLog = openEventLog(paths.log)
  let board: ReturnType<typeof createEventWriter> | undefined
  let held: RunEvent[] | undefined = []
  const flush = (): void => {
    for (const event of held ?? []) log.append(event)
    held = undefined
  }
  return {
    flush,
    emit(event) {
      if (event.type === 'start') flush()
      if (held === undefined) log.append(event)
      else held.push(event)
      const now = Date.now() / 1000
      if (event.type === 'start') {
        board ??= createEventWriter(
          paths.tensorboard,
          event.startStep === 0 ? {} : { startStep: event.startStep + 1 },
        )
      } else if (event.type === 'step') {
        board?.scalars(event.step, now, {
          'train/loss': event.loss,
          'train/learning_rate': event.learningRate,
          'train/gradient_norm': event.gradNorm,
          'speed/tokens_per_second': event.tokensPerSecond,
        })
      } else if (event.type === 'eval') {
        const { loss, bitsPerByte } = event
        const bits = bitsPerByte === undefined ? {} : { 'heldout/bits_per_byte': bitsPerByte }
        board?.scalars(event.step, now, { 'heldout/loss': loss, ...bits })
      } else if (event.type === 'sample') {
        board?.text(
          event.step,
          now,
          `samples/${event.prompt || '(empty)'}`,
          `**${event.prompt}**${event.text}`,
        )
      }
      onEvent(event)
    },
    close() {
      log.close()
      board?.close()
    },
  }
}
