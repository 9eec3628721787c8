/** How the measuring loop calls a system, whichever it is. */
export interface Driver {
  get(key: string): Promise<Uint8Array | null>;
  set(key: string, value: Buffer): Promise<unknown>;
  close(): Promise<void>;
}
