/**
 * The bpf(2) system call: a command, and a structure of numbers and addresses whose meaning depends on
 * it. Which command takes what is in kernel/bpf/; addresses stay here.
 *
 * @module
 */
import { openLibc } from "./libc.ts";
import { settledErrno } from "./errno.ts";
import { asBuffer, type Bytes, findsDescriptor } from "./fd.ts";
import { Syscall } from "./symbols.ts";

/** Bytes of `union bpf_attr` that toom uses; a kernel with a smaller one accepts zeros behind it. */
const ATTRIBUTES_BYTES = 144;

/** The attributes of one call: `union bpf_attr` of linux/bpf.h, by the offsets of its fields. */
export class BpfAttributes {
  readonly bytes = new Uint8Array(ATTRIBUTES_BYTES);
  private readonly view = new DataView(this.bytes.buffer);
  /** Memory that the call refers to: kept from the collector until the call is over. */
  private readonly referred: Bytes[] = [];

  u32(offsetBytes: number, value: number): this {
    this.view.setUint32(offsetBytes, value, true);
    return this;
  }

  u64(offsetBytes: number, value: bigint): this {
    this.view.setBigUint64(offsetBytes, value, true);
    return this;
  }

  /** What the kernel wrote back. */
  getU32(offsetBytes: number): number {
    return this.view.getUint32(offsetBytes, true);
  }

  /** The address of memory that the call reads or writes. */
  address(offsetBytes: number, memory: Bytes): this {
    this.referred.push(memory);
    const pointer = Deno.UnsafePointer.of(asBuffer(memory));
    return this.u64(offsetBytes, pointer === null ? 0n : Deno.UnsafePointer.value(pointer));
  }

  /** A name of at most 15 letters, digits, `_` and `.`, for tools such as bpftool. */
  name(offsetBytes: number, name: string): this {
    this.bytes.set(new TextEncoder().encode(name.slice(0, 15)), offsetBytes);
    return this;
  }
}

/**
 * Calls bpf(2).
 *
 * @param command BPF_* of linux/bpf.h.
 * @returns What the command gives, such as a descriptor; or minus the error number.
 */
export function bpfCall(command: number, attributes: BpfAttributes): number {
  const buffer = asBuffer(attributes.bytes);
  const call = () => openLibc().bpf(Syscall.bpf, command, buffer, ATTRIBUTES_BYTES);
  const result = settledErrno(call);
  return result < 0 && findsDescriptor(result) ? settledErrno(call) : result;
}
