# The session through the bridge with four cores.
tbreak kfiber_debugged_stop
continue
ask-part Each core runs another fiber, and one runs none
ask program-threads
ask-part A step of a fiber that waits
ask thread-named carpenter
ask quietly stepi
ask program-threads
end-machine
