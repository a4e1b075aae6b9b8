/** @file Which nodes of a program a provider left to the host: they are named, and refused. */
import { RegaugeError } from '../errors.ts'
import { type Api, cells, type Pointer, pointersAt, stringAt } from './api.ts'
import type { Provider } from './providers.ts'

const HOST = 'CPUExecutionProvider'

/**
 * Asks sessions made with these options to record where each node goes. A library before 1.24 cannot: it is told to
 * refuse such a model by itself, without names. Returns whether nodes are recorded.
 */
export function recordAssignment(api: Api, options: Pointer): boolean {
  const recorded = api.has('Session_GetEpGraphAssignmentInfo')
  api.AddSessionConfigEntry(
    options,
    recorded ? 'session.record_ep_graph_assignment_info' : 'session.disable_cpu_ep_fallback',
    '1',
  )
  return recorded
}

/** A node of a program, by its name in the file. */
export interface AssignedNode {
  readonly name: string
  readonly opType: string
}

/** The nodes of a session that run on the host. */
export function hostNodes(api: Api, session: Pointer): AssignedNode[] {
  const [out, count] = [cells(), cells()]
  api.Session_GetEpGraphAssignmentInfo(session, out, count)
  return pointersAt(out[0]!, Number(count[0])).flatMap((subgraph) => {
    api.EpAssignedSubgraph_GetEpName(subgraph, out)
    if (stringAt(out[0]!) !== HOST) return []
    api.EpAssignedSubgraph_GetNodes(subgraph, out, count)
    return pointersAt(out[0]!, Number(count[0])).map((node) => {
      api.EpAssignedNode_GetName(node, out)
      const name = stringAt(out[0]!)
      api.EpAssignedNode_GetOperatorType(node, out)
      return { name, opType: stringAt(out[0]!) }
    })
  })
}

/** The most nodes that one message lists. */
const MOST = 20

/** Throws `RegaugeError('environment')` that names each node of the session that would run on the host. */
export function requireOnDevice(api: Api, session: Pointer, name: string, { ortName }: Provider): void {
  const nodes = hostNodes(api, session)
  if (nodes.length === 0) return
  const issues = nodes.slice(0, MOST).map((node) => ({
    code: 'RUNTIME_NODE_ON_HOST',
    message: `${node.opType} (${node.name === '' ? 'without a name' : node.name}) has no kernel in ${ortName} and would run on the host`,
  }))
  const rest = nodes.length - issues.length
  throw new RegaugeError('environment', [
    ...issues,
    {
      code: 'RUNTIME_NODES_ON_HOST',
      message: `${nodes.length} of the program's nodes would leave ${name}${rest > 0 ? ` (${rest} more than listed)` : ''}`,
      hint: 'run on another runtime, or allow it (--allow-host) and take the copies at each step',
    },
  ])
}
