"""The examples of cluster/ that nothing here can run: they are what they claim to be, and name what is there."""

import pathlib
import re
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"


class Files(unittest.TestCase):
    def test_the_mpi_job(self):
        job = yaml.safe_load((CLUSTER / "kubernetes/mpijob.yaml").read_text())
        self.assertEqual((job["apiVersion"], job["kind"]), ("kubeflow.org/v2beta1", "MPIJob"))
        replicas = job["spec"]["mpiReplicaSpecs"]
        self.assertEqual(set(replicas), {"Launcher", "Worker"})
        for role, replica in replicas.items():
            pod = replica["template"]["spec"]
            volumes = {volume["name"] for volume in pod["volumes"]}
            for container in pod["containers"]:
                self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, volumes, role)
        gpus = replicas["Worker"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        self.assertEqual(gpus, job["spec"]["slotsPerWorker"])
        script = replicas["Launcher"]["template"]["spec"]["containers"][0]["args"][0]
        self.assertEqual(subprocess.run(["bash", "-n"], input=script, text=True).returncode, 0)
        self.assertIn("resume=auto", script)

    def test_the_container_file(self):
        text = (CLUSTER / "Containerfile").read_text()
        lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).strip().splitlines()
        self.assertLessEqual({line.split()[0] for line in lines}, {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD"})
        run = next(line.removeprefix("RUN ") for line in lines if line.startswith("RUN "))
        self.assertEqual(subprocess.run(["bash", "-n"], input=run, text=True).returncode, 0)
        for program in re.findall(r"scripts/[\w.]+", run):
            self.assertTrue((ROOT / program).exists(), program)
        names = {preset["name"] for preset in yaml.safe_load((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
        self.assertLessEqual(set(re.findall(r"preset=(\w+)", text)), names)

    def test_scripts_are_scripts(self):
        for script in [CLUSTER / "slurm", CLUSTER / "testbed", *(CLUSTER / "templates").iterdir()]:
            with self.subTest(script.name):
                self.assertEqual(subprocess.run(["bash", "-n", script]).returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
