// See helper_program.ts. The first 8 bytes are the uid and the gid, set before the program is written.
        .globl  _start
ids:    .word   0, 0
_start: mov     x8, #436                // close_range(1, ~0, 0)
        mov     w0, #1
        mov     w1, #-1
        mov     w2, #0
        svc     #0
        mov     x8, #167                // prctl(PR_SET_NAME, name)
        mov     w0, #15
        adr     x1, name
        svc     #0
        mov     x8, #159                // setgroups(0, NULL)
        mov     x0, #0
        mov     x1, #0
        svc     #0
        cbnz    x0, out
        adr     x19, ids
        mov     x8, #149                // setresgid(gid, gid, gid)
        ldr     w0, [x19, #4]
        mov     w1, w0
        mov     w2, w0
        svc     #0
        cbnz    x0, out
        mov     x8, #147                // setresuid(uid, uid, uid)
        ldr     w0, [x19]
        mov     w1, w0
        mov     w2, w0
        svc     #0
        cbnz    x0, out
        mov     x8, #167                // prctl(PR_SET_DUMPABLE, 0)
        mov     w0, #4
        mov     x1, #0
        svc     #0
        sub     sp, sp, #32
loop:   mov     x8, #63                 // read(0, request, 24)
        mov     x0, #0
        mov     x1, sp
        mov     x2, #24
        svc     #0
        cmp     x0, #24
        b.ne    out
        mov     x8, #261                // prlimit64(pid, RLIMIT_DATA, request + 8, request + 8)
        ldr     w0, [sp]
        mov     x1, #2
        add     x2, sp, #8
        mov     x3, x2
        svc     #0
        str     w0, [sp, #4]
        mov     x8, #64                 // write(0, request, 24)
        mov     x0, #0
        mov     x1, sp
        mov     x2, #24
        svc     #0
        b       loop
out:    mov     x8, #94                 // exit_group(0)
        mov     x0, #0
        svc     #0
name:   .asciz  "toom-brake"
