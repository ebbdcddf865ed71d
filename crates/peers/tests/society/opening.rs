//! Two nodes dial each other at once: is there one connection in the end, and only one?

use rand::RngExt as _;
use rustle_peers::Input;

use crate::node::place;
use crate::world::World;

#[test]
fn simultaneous_opens_end_with_exactly_one_connection_in_ten_thousand_schedules() {
    let mut worst = 0;
    for seed in 0..10_000 {
        let mut world = World::new(seed, 1..200);
        let (a, b) = (world.add(|_| {}), world.add(|_| {}));
        world.start(a);
        world.start(b);
        let dials = world.rng.random_range(2..5);
        for request in 0..dials {
            let (from, to) = if request == 0 || (request != 1 && world.rng.random()) {
                (a, b)
            } else {
                (b, a)
            };
            let at = world.rng.random_range(0..400);
            world.tell_at(
                at,
                from,
                Input::Connect {
                    request,
                    address: place(to),
                },
            );
        }
        world.run_until(3_000);
        let open = world.open_links(a, b);
        worst = worst.max(open);
        assert_eq!(open, 1, "seed {seed}: {open} connections");
        assert!(
            world.up(a) == 1 && world.up(b) == 1,
            "seed {seed}: not up on both sides"
        );
    }
    println!("10000 schedules, at most {worst} connection left");
}
