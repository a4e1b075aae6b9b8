/** @file Runtimes as a person lists them: names with commas between. */
import { type Issue, RegaugeError } from '../errors.ts'
import { parseTarget, type Target } from '../runtime/index.ts'

/** Reads a list of runtimes, each with or without `:index`. Throws RegaugeError of kind `usage` with every mistake. */
export function parseTargets(list: string): Target[] {
  const issues: Issue[] = []
  const targets = list.split(',').flatMap((word) => {
    try {
      return [parseTarget(word.trim())]
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      issues.push(...error.issues)
      return []
    }
  })
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return targets
}
