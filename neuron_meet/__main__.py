"""`python -m neuron_meet` is the same program as `neuron-meet`."""

from neuron_meet.cli import main

if __name__ == "__main__":
    main()
