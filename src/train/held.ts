/** @file Resources that are held for a while, and given back together. */

interface Disposable {
  dispose(): void | Promise<void>
}

/** Holds what is added, and disposes of it in the opposite order. */
export interface Held extends Disposable {
  /** Gives the resource back, for a name of its own. */
  add<T extends Disposable>(resource: T): T
}

export function createHeld(): Held {
  const resources: Disposable[] = []
  return {
    add(resource) {
      resources.unshift(resource)
      return resource
    },
    async dispose() {
      for (const resource of resources) await resource.dispose()
    },
  }
}
