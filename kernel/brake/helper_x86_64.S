# See helper_program.ts. The first 8 bytes are the uid and the gid, set before the program is written.
        .globl  _start
ids:    .long   0, 0
_start: mov     $436, %eax              # close_range(1, ~0, 0)
        mov     $1, %edi
        mov     $-1, %esi
        xor     %edx, %edx
        syscall
        mov     $157, %eax              # prctl(PR_SET_NAME, name)
        mov     $15, %edi
        lea     name(%rip), %rsi
        syscall
        mov     $116, %eax              # setgroups(0, NULL)
        xor     %edi, %edi
        xor     %esi, %esi
        syscall
        test    %eax, %eax
        jnz     out
        mov     $119, %eax              # setresgid(gid, gid, gid)
        mov     ids+4(%rip), %edi
        mov     %edi, %esi
        mov     %edi, %edx
        syscall
        test    %eax, %eax
        jnz     out
        mov     $117, %eax              # setresuid(uid, uid, uid)
        mov     ids(%rip), %edi
        mov     %edi, %esi
        mov     %edi, %edx
        syscall
        test    %eax, %eax
        jnz     out
        mov     $157, %eax              # prctl(PR_SET_DUMPABLE, 0)
        mov     $4, %edi
        xor     %esi, %esi
        syscall
        sub     $32, %rsp
loop:   xor     %eax, %eax              # read(0, request, 24)
        xor     %edi, %edi
        mov     %rsp, %rsi
        mov     $24, %edx
        syscall
        cmp     $24, %eax
        jne     out
        mov     $302, %eax              # prlimit64(pid, RLIMIT_DATA, request + 8, request + 8)
        mov     (%rsp), %edi
        mov     $2, %esi
        lea     8(%rsp), %rdx
        mov     %rdx, %r10
        syscall
        mov     %eax, 4(%rsp)
        mov     $1, %eax                # write(0, request, 24)
        xor     %edi, %edi
        mov     %rsp, %rsi
        mov     $24, %edx
        syscall
        jmp     loop
out:    mov     $231, %eax              # exit_group(0)
        xor     %edi, %edi
        syscall
name:   .asciz  "toom-brake"
