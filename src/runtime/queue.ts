/** @file Turns on a device: providers with memory of their own do not take calls from two threads at once. */
import type { Api } from './api.ts'

/** Makes calls of ONNX Runtime on worker threads. */
export interface Queue {
  readonly later: Api['later']
  /** Does something that takes several calls in one turn: those of `later` on worker threads, others on this one. */
  turn<T>(work: (later: Api['later']) => Promise<T>): Promise<T>
  /** Whether a call is under way or waiting. */
  readonly busy: boolean
  /** Does something on this thread as soon as no call is under way: now, where that is so. */
  whenIdle(work: () => void): void
}

/** Calls as they come, any number at once. */
export function freeQueue(api: Api): Queue {
  return { later: api.later, turn: (work) => work(api.later), busy: false, whenIdle: (work) => work() }
}

/** One call after the other. */
export function strictQueue(api: Api): Queue {
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0
  const afterwards: (() => void)[] = []
  const turn: Queue['turn'] = async (work) => {
    const before = last
    let done!: () => void
    last = new Promise<void>((resolve) => {
      done = resolve
    })
    waiting++
    try {
      await before
      return await work(api.later)
    } finally {
      waiting--
      if (waiting === 0) for (const work of afterwards.splice(0)) work()
      done()
    }
  }
  return {
    get busy() {
      return waiting > 0
    },
    turn,
    later: (name, ...args) => turn((later) => later(name, ...args)),
    whenIdle(work) {
      if (waiting === 0) work()
      else afterwards.push(work)
    },
  }
}
