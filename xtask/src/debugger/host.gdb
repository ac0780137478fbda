# The session with the program `debugged` on this machine.
tbreak kfiber_debugged_stop
run
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
ask-part At the end
tbreak kfiber_debugged_stop
continue
ask info fibers
ask-part A script of another version, and schedulers that are named
python KFIBER_LAYOUT = 99
ask info fibers
python KFIBER_LAYOUT = 1
ask info fibers debugged::main::SCHEDULER
ask info fibers debugged::scene::BENCH
kill
ask-part After the end
ask info fibers
ask fiber apply all bt
