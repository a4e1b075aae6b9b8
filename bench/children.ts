/** @file Runs the programs that are compared, one at a time and in turn, and reads the JSON line that each prints. */
import { spawn } from 'node:child_process'

/** One program that a benchmark compares. */
export interface Contender {
  readonly name: string
  readonly command: readonly string[]
  /** Why it cannot run here; it is then printed as skipped. */
  readonly missing?: string
  /** Only in the first round. */
  readonly once?: boolean
}

/** Runs a command and gives the JSON of its last line of output. Throws with the end of its errors when it fails. */
export async function jsonOf<T>(command: readonly string[]): Promise<T> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-2000)
  })
  const code = await new Promise<number | null>((done, failed) => {
    child.on('error', failed)
    child.on('close', done)
  })
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}\n${errors}`)
  return JSON.parse(out.trim().split('\n').at(-1)!) as T
}

/**
 * Runs every contender once a round, in turn, so that a machine whose speed drifts treats all alike. Says on standard
 * error what runs and what was skipped or failed; gives the results of each that ran in every round.
 */
export async function interleave<T>(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, T[]>> {
  const results = new Map<string, T[]>()
  const out = new Set<string>()
  for (const { name, missing } of contenders) {
    if (missing !== undefined) console.error(`${name}: skipped, ${missing}`)
  }
  for (let round = 1; round <= rounds; round++) {
    for (const { name, command, missing, once } of contenders) {
      if (missing !== undefined || out.has(name) || (once && round > 1)) continue
      console.error(`round ${round} of ${rounds}: ${name}`)
      try {
        const list = results.get(name) ?? []
        list.push(await jsonOf<T>(command))
        results.set(name, list)
      } catch (error) {
        console.error(`${name}: failed, ${(error as Error).message}`)
        out.add(name)
        results.delete(name)
      }
    }
  }
  return results
}

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Prints rows in columns, the first aligned left, the others right. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  for (const row of all) {
    console.log(
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
  }
}
