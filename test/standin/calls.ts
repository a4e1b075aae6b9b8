/** @file What the calls that a stand-in recorded must keep to. */

/** One recorded call: `BindInput(binding1, a, value2)`. */
export interface Call {
  readonly name: string
  readonly args: readonly string[]
  /** What it made, or `error`. */
  readonly result?: string
}

export function parseCalls(lines: readonly string[]): Call[] {
  return lines.map((line) => {
    const [, name, args, result] = /^(\w+)\((.*?)\)(?: -> (\w+))?$/.exec(line) ?? []
    if (name === undefined) throw new Error(`not a call: ${line}`)
    return { name, args: args === '' ? [] : args!.split(', '), ...(result && { result }) }
  })
}

/**
 * What is wrong with the calls of a runtime from its making to its disposal: what was made and not released, released
 * before what needs it, or called while another call was at work on the device.
 */
export function problemsOf(lines: readonly string[]): string[] {
  const problems = lines.filter((line) => line.startsWith('CONCURRENT'))
  const alive = new Map<string, readonly string[]>()
  for (const { name, args, result } of parseCalls(lines.filter((line) => !line.startsWith('CONCURRENT')))) {
    if (name.startsWith('Release')) {
      const released = args[0]!
      if (released === 'unknown' || released === 'null') problems.push(`${name} of ${released}`)
      for (const [user, needs] of alive)
        if (needs.includes(released)) problems.push(`${released} was released before ${user}`)
      alive.delete(released)
    } else if (result !== undefined && result !== 'error' && name.startsWith('Create')) {
      const needs =
        name === 'CreateTensorAsOrtValue' || name === 'CreateAllocator' || name === 'CreateIoBinding'
      // one environment a library and process, which is never released
      if (name !== 'CreateEnv') alive.set(result, needs ? [args[0]!] : [])
    }
  }
  return [...problems, ...[...alive.keys()].map((name) => `${name} was not released`)]
}

/** The bindings whose output is tied to the value of one of their inputs. */
export function inPlaceBindings(calls: readonly Call[]): string[] {
  const inputs = new Map<string, Set<string>>()
  const found: string[] = []
  for (const { name, args } of calls) {
    const [binding, end, value] = args as [string, string, string]
    if (name === 'BindInput') inputs.set(binding, (inputs.get(binding) ?? new Set<string>()).add(value))
    if (name === 'BindOutput' && inputs.get(binding)?.has(value)) found.push(`${binding}: ${end} is ${value}`)
  }
  return found
}
