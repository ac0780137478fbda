# The session with the kernel `debugged` on four cores.
tbreak kfiber_debugged_stop
continue
ask-part Each core runs another fiber, and one runs none
ask info fibers
ask info locks
ask fiber
ask-part A fiber on another core, and one in a `Fiber` of its own
ask quietly fiber computes
ask program-frames
ask quietly fiber has a Fiber
ask program-frames
ask-part A fiber that waits, seen from another core
quietly thread 2
ask fiber apprentice
ask program-frames
ask info locals
ask-part All fibers
ask fiber apply all program-frames
ask-part In an interrupt handler
tbreak kfiber_debugged_stop
quietly continue
ask info fibers
end-machine
