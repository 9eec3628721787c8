/** A write of a map that was set aside, as events tell of it. */
export interface StoreFailure {
  readonly map: string;
  readonly key: unknown;
  readonly attempts: number;
  /** What the store said last. */
  readonly message: string;
}
