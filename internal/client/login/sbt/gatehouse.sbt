// Written by `gatehouse login --tool sbt`, and taken away by `gatehouse logout
// --tool sbt`. It adds the repositories below to sbt. Whenever sbt needs
// credentials, it asks gatehouse for a token; this file contains none. `instead`
// makes a repository replace every other one that is not on this machine.

// name, realm, address, resolver, instead, command
lazy val gatehouseLogins = Seq(
//LOGINS
)

credentials ++= {
  val log = streams.value.log
  gatehouseLogins.flatMap { case (name, realm, address, _, _, command) =>
    val out, err = new StringBuilder
    val run = scala.util.Try(scala.sys.process.Process(command) ! scala.sys.process.ProcessLogger(s => out.append(s), s => err.append(s)))
    if (run == scala.util.Success(0)) {
      Some(Credentials(realm, java.net.URI.create(address).getHost, "aws", out.toString.trim))
    } else { // the build may not need them, so it goes on
      log.warn(s"$name is used without credentials: $err${run.failed.toOption.fold("")(_.getMessage)}")
      None
    }
  }
}

resolvers ++= gatehouseLogins.map(_._4)

externalResolvers := {
  val all = externalResolvers.value
  if (!gatehouseLogins.exists(_._5)) all
  else all.filter {
    case m: MavenRepository => !m.root.startsWith("http") || gatehouseLogins.exists(_._3 == m.root)
    case _                  => true
  }
}

// Builds that do not say where they publish to publish here.
publishTo := publishTo.value.orElse(gatehouseLogins.headOption.map(_._4))
