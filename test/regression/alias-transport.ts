/** An address in front of the simulated network (a proxy, a service name) that leads to one host or another. */
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Connection } from '../../src/base/ports.js';

const NOWHERE = 'nowhere:5701';

/** Dials of `address` reach the target; changing the target ends the connections that came by this way. */
export class Alias {
  readonly address = 'alias:5701';
  readonly #connections = new Set<Connection>();
  #target = NOWHERE;
  #dials = 0;

  /** To be made before the processes that shall know the alias are started. */
  constructor(cluster: SimCluster) {
    const { network } = cluster;
    const original = network.transport.bind(network);
    network.transport = (host, clock) => {
      const transport = original(host, clock);
      return {
        listen: (options) => transport.listen(options),
        dial: (address, handler) => {
          if (address !== this.address) return transport.dial(address, handler);
          const connection = transport.dial(this.#target, handler);
          if (this.#target !== NOWHERE) this.#dials++;
          this.#connections.add(connection);
          return connection;
        },
      };
    };
  }

  /** How many dials had a target. */
  get dials(): number {
    return this.#dials;
  }

  /** Leads to another host from now on; null: to nobody, and dials are refused. */
  leadTo(host: string | null): void {
    this.#target = host === null ? NOWHERE : `${host}:5701`;
    for (const connection of this.#connections) connection.close(1006, 'the proxy dropped it');
    this.#connections.clear();
  }
}
