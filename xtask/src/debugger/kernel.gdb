# The session with the kernel `debugged` in QEMU.
tbreak kfiber_debugged_stop
continue
ask-part The fibers and the locks
ask info fibers
ask info locks
ask-part A fiber that waits
ask fiber apprentice
ask program-frames
ask info locals
ask-part A fiber by its number
ask fiber 3
ask-part A new fiber
ask fiber new
ask bt
ask-part Fibers that have no frames, and a word that is no fiber
ask fiber ended
ask fiber failed
ask fiber nobody
ask-part All fibers
ask fiber apply all program-frames
ask fiber apply 2 postman -- program-frames
ask fiber apply
ask-part The processor again
ask fiber none
ask program-frames
ask-part Values
ask print debugged::scene::BENCH
set max-value-size unlimited
ask print debugged::scene::CELLS[0]
python gdb.execute("monitor dump-guest-memory -p " + __import__("os").environ["KFIBER_CORE_DUMP"])
ask-part The top of what lies directly below a stack is not in it
python lowest = kfiber_all()[0]
ask python print(lowest.holds(lowest.bottom), lowest.holds(lowest.bottom + 8), lowest.holds(lowest.address))
ask-part In an interrupt handler
tbreak kfiber_debugged_stop
continue
ask info fibers
ask fiber
ask-part In the middle of a switch: before, at and behind the change of the stack pointer
break-at-switch
continue
ask info fibers
stepi
ask info fibers
stepi
stepi
stepi
ask info fibers
ask-part At the end
tbreak kfiber_debugged_stop
continue
ask info fibers
ask info locks
end-machine
ask-part After the end
ask info fibers
ask info locks
ask fiber
ask fiber none
ask fiber apply all bt
