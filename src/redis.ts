/** The door `elsegrid/redis`: a map's store in Redis. Apart from the other doors, because it needs the package ioredis. */
export { StoreRefusedError } from './mapstore/map-store.js';
export { type RedisMapStore, type RedisMapStoreOptions, redisMapStore } from './redis/redis-map-store.js';
