/** @file Says which tier of the tests runs, when it begins and how it ended. */
import type { Reporter, TestModule } from 'vitest/node'

interface Progress {
  files: number
  passed: number
  failed: number
  skipped: number
  began: number
}

/** A line when the first file of a tier starts, and one when the last file is done. */
export default class TierReporter implements Reporter {
  #left = new Map<string, number>()
  #progress = new Map<string, Progress>()

  onTestRunStart(specifications: Parameters<NonNullable<Reporter['onTestRunStart']>>[0]): void {
    this.#left.clear()
    this.#progress.clear()
    for (const { project } of specifications)
      this.#left.set(project.name, (this.#left.get(project.name) ?? 0) + 1)
  }

  onTestModuleStart({ project: { name } }: TestModule): void {
    if (this.#progress.has(name)) return
    const files = this.#left.get(name)!
    this.#progress.set(name, { files, passed: 0, failed: 0, skipped: 0, began: performance.now() })
    const [at, of] = [[...this.#left.keys()].indexOf(name) + 1, this.#left.size]
    console.log(`\ntier ${name} (${at} of ${of}): ${files} files`)
  }

  onTestModuleEnd(module: TestModule): void {
    const { name } = module.project
    const progress = this.#progress.get(name)!
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state !== 'pending') progress[state]++
    }
    // a file that cannot be read has no tests
    if (!module.ok() && module.children.size === 0) progress.failed++
    const left = this.#left.get(name)! - 1
    this.#left.set(name, left)
    if (left > 0) return
    const seconds = ((performance.now() - progress.began) / 1000).toFixed(0)
    const { passed, failed, skipped } = progress
    console.log(`tier ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s\n`)
  }
}
