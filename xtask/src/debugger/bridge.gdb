# The session through the bridge, in which fibers are threads. No script of ours is loaded.
tbreak kfiber_debugged_stop
continue
ask-part Processors and fibers are threads
ask program-threads
ask-part A fiber that waits
ask thread-named apprentice
ask program-frames
ask print $rax
ask set var $rip = 0
ask print debugged::scene::reads_letters()
ask up-to-program
ask info locals
ask-part All threads
ask thread apply all program-frames
ask-part In an interrupt handler
tbreak kfiber_debugged_stop
quietly continue
ask program-threads
ask-part A step of a fiber that does not run
ask thread-named new
ask quietly stepi
ask program-threads
ask-part In the middle of a switch: before, at and behind the change of the stack pointer
break-at-switch
quietly continue
ask program-threads
quietly stepi
ask program-threads
quietly stepi
quietly stepi
quietly stepi
ask program-threads
ask-part At the end
tbreak kfiber_debugged_stop
quietly continue
ask program-threads
end-machine
