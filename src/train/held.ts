/** @file Resources that are held for a while, and given back together. */

export interface Disposable {
  dispose(): void | Promise<void>
}

/** Holds what is added, and disposes of it in the opposite order. */
export function createHeld(): Disposable & { add<T extends Disposable>(resource: T): T } {
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
