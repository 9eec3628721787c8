import { it } from 'vitest';
import { Explorer } from '/work/main/test/cluster/chain-explorer.js';
import { Chain } from '/work/main/src/cluster/chain.js';
const plans: [string, any][] = [
 ['a1 b1', {proposals:{a:1,b:1},depth:1}],
 ['a2 b1', {proposals:{a:2,b:1},depth:1}],
 ['a1 b2', {proposals:{a:1,b:2},depth:1}],
 ['b1 c1', {proposals:{c:1,b:1},depth:1}],
 ['a1 b1 c1', {proposals:{a:1,c:1,b:1},depth:1}],
];
for (const [n,p] of plans) it(n, () => { const t=Date.now(); const r = (()=>{try{return new Explorer({members:['a','b','c'],maxStates:600000,...p}, Chain).explore()}catch(e){return String(e)}})(); console.log(n, r, Date.now()-t,'ms'); }, 120000);
