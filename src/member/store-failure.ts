/** A write of a map that was set aside, as events tell of it. */
export interface StoreFailure {
  readonly map: string;
  /** A Buffer of its bytes when these are no key. */
  readonly key: unknown;
  readonly attempts: number;
  /** What the store said last. */
  readonly message: string;
}
